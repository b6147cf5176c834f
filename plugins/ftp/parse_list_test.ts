import assert from "node:assert/strict";
import { parseList } from "./parse_list.ts";

Deno.test("parseList() reads the lines of servers", () => {
  for (
    const [line, expected] of [
      // vsftpd 3.0.3
      ["-rw-r--r--    1 0        0         3000000 Nov 23 11:08 a.bin", {
        name: "a.bin",
        kind: "file",
        sizeBytes: 3000000,
      }],
      ["drwxrwxrwx    2 1        0            4096 Nov 23 11:08 up", { name: "up", kind: "directory" }],
      ["-rw-r--r--    1 1000     1000            5 Jan 02  2024  two  spaces ", {
        name: " two  spaces ",
        kind: "file",
        sizeBytes: 5,
      }],
      ["drwxr-xr-x    2 0        0            4096 Nov 23 11:08 ..", { name: "..", kind: "other" }],
      ["lrwxrwxrwx    1 0        0               4 Nov 23 11:08 link -> /etc", { name: "link", kind: "other" }],
      ["crw-rw-rw-    1 0        0          1,   3 Nov 23 11:08 null", { name: "null", kind: "other" }],
      // ProFTPD, ftp-srv and busybox
      ["-rw-r--r--   1 pi       pi       5000000000 Nov  3 09:08 big 2024 12:00 x", {
        name: "big 2024 12:00 x",
        kind: "file",
        sizeBytes: 5_000_000_000,
      }],
      ["-rwxr-xr-x+ 1 1 1 17 Feb 29 2024 -rf", { name: "-rf", kind: "file", sizeBytes: 17 }],
      ["-rw-r--r--    1 root            17 Nov 23 11:08 no group", { name: "no group", kind: "file", sizeBytes: 17 }],
      ["-rw-r--r-- 1 pi pi 17 2026-11-23 11:08 iso", { name: "iso", kind: "file", sizeBytes: 17 }],
      ["-rw-r--r-- 1 pi pi 17 23 Nov 11:08 day first", { name: "day first", kind: "file", sizeBytes: 17 }],
      // IIS
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
