import assert from "node:assert/strict";
import { formatTime, parseMlsd, parseTime } from "./parse_mlsd.ts";

const AT = Date.UTC(2026, 10, 23, 11, 8, 12);

Deno.test("parseMlsd() reads lines of pure-ftpd, ProFTPD and pyftpdlib", () => {
  for (
    const [line, expected] of [
      // pure-ftpd 1.0.50
      ["type=file;siz=3;size=3;modify=20261123110812;UNIX.mode=0644;UNIX.uid=1;UNIX.gid=1;unique=fe00g5; a b.ulg", {
        name: "a b.ulg",
        kind: "file",
        sizeBytes: 3,
        modifiedMs: AT,
      }],
      ["type=dir;sizd=4096;modify=20261123110812;UNIX.mode=0755;unique=fe00g6; sub", {
        name: "sub",
        kind: "directory",
        modifiedMs: AT,
      }],
      ["type=cdir;sizd=4096;modify=20261123110812; .", { name: ".", kind: "other", modifiedMs: AT }],
      // ProFTPD 1.3.8
      ["modify=20261123110812;perm=adfrw;size=5000000000;type=file;unique=801U2;UNIX.group=0;UNIX.owner=0;  lead", {
        name: " lead",
        kind: "file",
        sizeBytes: 5_000_000_000,
        modifiedMs: AT,
      }],
      ["modify=20261123110812;perm=adfrw;size=4;type=OS.unix=symlink;unique=801U3;UNIX.mode=0777; link", {
        name: "link",
        kind: "other",
        sizeBytes: 4,
        modifiedMs: AT,
      }],
      // pyftpdlib 2.2.0
      ["type=file;size=0;perm=radfwMT;modify=20261123110812;unique=fe00g7; x;y=z.txt", {
        name: "x;y=z.txt",
        kind: "file",
        sizeBytes: 0,
        modifiedMs: AT,
      }],
      // MLST: indented; FileZilla Server: milliseconds
      [" Type=File;Size=7;Modify=20261123110812.250; /a/log.ulg", {
        name: "/a/log.ulg",
        kind: "file",
        sizeBytes: 7,
        modifiedMs: AT + 250,
      }],
    ] as const
  ) assert.deepEqual(parseMlsd(line), expected, line);
});

Deno.test("parseMlsd() takes nothing for an entry that is none", () => {
  for (const line of ["", " ", "nospace", "total 12", "-rw-r--r-- 1 0 0 3 Nov 23 11:08 a", "type=file;size=3;"]) {
    assert.equal(parseMlsd(line), undefined, line);
  }
});

Deno.test("parseTime() and formatTime() are each other's inverse, and impossible times are none", () => {
  assert.equal(parseTime("20261123110812"), AT);
  assert.equal(formatTime(AT), "20261123110812");
  assert.equal(parseTime("19100101000000"), Date.UTC(1910, 0, 1));
  for (const text of ["", "2026", "20261323110812", "20261123250812", "Nov 23 11:08"]) {
    assert.equal(parseTime(text), undefined, text);
  }
});
