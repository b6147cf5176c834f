import assert from "node:assert/strict";
import { parseList } from "./parse_list.ts";

Deno.test("parseList() reads lines that servers sent, and forms that others have", () => {
  for (
    const [line, expected] of [
      // Captured from vsftpd 3.0.3.
      ["-rw-r--r--    1 0        0         3000000 Nov 23 11:08 a.bin", {
        name: "a.bin",
        kind: "file",
        sizeBytes: 3000000,
      }],
      ["drwxrwxrwx    2 1        0            4096 Nov 23 11:08 up", { name: "up", kind: "directory" }],
      // Captured from pure-ftpd 1.0.50.
      ["-rw-r--r--    1 1          daemon              0 Jan  2  2024  lead", {
        name: " lead",
        kind: "file",
        sizeBytes: 0,
      }],
      ["drwx------    3 1          daemon           4096 Nov 23 12:04 ..", { name: "..", kind: "other" }],
      ["lrwxrwxrwx    1 1          daemon              4 Nov 23 12:04 link -> /etc", { name: "link", kind: "other" }],
      // Captured from ProFTPD 1.3.8 and pyftpdlib 2.2.0.
      ["-rw-r--r--   1 pi       0               3 Nov 23 12:11 a b.ulg", {
        name: "a b.ulg",
        kind: "file",
        sizeBytes: 3,
      }],
      ["-rw-r--r--   1 root     root            0 Jan 02  2024  lead", { name: " lead", kind: "file", sizeBytes: 0 }],
      // Not captured: other forms of ls.
      ["-rw-r--r--   1 pi       pi       5000000000 Nov  3 09:08 big 2024 12:00 x", {
        name: "big 2024 12:00 x",
        kind: "file",
        sizeBytes: 5_000_000_000,
      }],
      ["crw-rw-rw-    1 0        0          1,   3 Nov 23 11:08 null", { name: "null", kind: "other" }],
      ["-rwxr-xr-x+ 1 1 1 17 Feb 29 2024 -rf", { name: "-rf", kind: "file", sizeBytes: 17 }],
      ["-rw-r--r--    1 root            17 Nov 23 11:08 no group", { name: "no group", kind: "file", sizeBytes: 17 }],
      ["-rw-r--r-- 1 pi pi 17 2026-11-23 11:08 iso", { name: "iso", kind: "file", sizeBytes: 17 }],
      ["-rw-r--r-- 1 pi pi 17 23 Nov 11:08 day first", { name: "day first", kind: "file", sizeBytes: 17 }],
      // Not captured: the form of IIS.
      ["11-23-26  11:08AM       <DIR>          Log Files", { name: "Log Files", kind: "directory" }],
      ["11-23-2026  11:08PM             20480 u_ex 1.log", { name: "u_ex 1.log", kind: "file", sizeBytes: 20480 }],
      ["02-03-2025  09:14       <JUNCTION>     old", { name: "old", kind: "other" }],
    ] as const
  ) assert.deepEqual(parseList(line), expected, line);
});

Deno.test("parseList() tells lines without a name from lines that it cannot read", () => {
  for (const line of ["", "total 12", "total 0"]) assert.equal(parseList(line), null, line);
  for (const line of ["hello", "type=file;size=3; a", "-rw-r--r--"]) assert.equal(parseList(line), undefined, line);
});
