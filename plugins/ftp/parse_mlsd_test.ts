import assert from "node:assert/strict";
import { formatTime, parseMlsd, parseTime } from "./parse_mlsd.ts";

const AT = Date.UTC(2026, 10, 23, 12, 4, 14);
const LATER = Date.UTC(2026, 10, 23, 12, 11, 9);

Deno.test("parseMlsd() reads lines that servers sent", () => {
  for (
    const [line, expected] of [
      // Captured from pure-ftpd 1.0.50.
      ["type=file;size=3;modify=20261123120414;UNIX.mode=0644;UNIX.uid=1;UNIX.gid=1;unique=fe00g9da9e2; a b.ulg", {
        name: "a b.ulg",
        kind: "file",
        sizeBytes: 3,
        modifiedMs: AT,
      }],
      ["type=file;size=0;modify=20240102030405;UNIX.mode=0644;UNIX.uid=1;UNIX.gid=1;unique=fe00g9da9e4;  lead", {
        name: " lead",
        kind: "file",
        sizeBytes: 0,
        modifiedMs: Date.UTC(2024, 0, 2, 3, 4, 5),
      }],
      ["type=dir;sizd=4096;modify=20261123120414;UNIX.mode=0755;UNIX.uid=1;UNIX.gid=1;unique=fe00g9da9e3; sub", {
        name: "sub",
        kind: "directory",
        modifiedMs: AT,
      }],
      ["type=cdir;sizd=4096;modify=20261123120414;UNIX.mode=0700;UNIX.uid=1;UNIX.gid=1;unique=fe00g9da9e1; .", {
        name: ".",
        kind: "other",
        modifiedMs: AT,
      }],
      [
        "type=OS.unix=slink:;size=4;modify=20261123120414;UNIX.mode=0777;UNIX.uid=1;UNIX.gid=1;unique=fe00g9da9e5; link",
        {
          name: "link",
          kind: "other",
          sizeBytes: 4,
          modifiedMs: AT,
        },
      ],
      // Captured from ProFTPD 1.3.8.
      [
        "modify=20261123121109;perm=adfrw;size=3;type=file;unique=FE00U9D20A9;UNIX.group=0;UNIX.groupname=0;UNIX.mode=0644;UNIX.owner=0;UNIX.ownername=pi; a b.ulg",
        { name: "a b.ulg", kind: "file", sizeBytes: 3, modifiedMs: LATER },
      ],
      [
        "modify=20261123121109;perm=adfrw;size=4;type=OS.unix=symlink;unique=FE00U13;UNIX.group=0;UNIX.groupname=0;UNIX.mode=0777;UNIX.owner=0;UNIX.ownername=pi; link",
        { name: "link", kind: "other", sizeBytes: 4, modifiedMs: LATER },
      ],
      // Captured from pyftpdlib 2.2.0; it shows a symlink to a directory as a directory.
      ["modify=20261123121109;perm=radfwMT;size=3;type=file;unique=fe00g9d20a9; a b.ulg", {
        name: "a b.ulg",
        kind: "file",
        sizeBytes: 3,
        modifiedMs: LATER,
      }],
      // In the form of RFC 3659 section 7.7: indented in MLST, any case, parts of a second, "=" and ";" in the name.
      [" Type=File;Size=5000000000;Modify=20261123121109.250; /x;y=z.txt", {
        name: "/x;y=z.txt",
        kind: "file",
        sizeBytes: 5_000_000_000,
        modifiedMs: LATER + 250,
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
  assert.equal(parseTime("20261123120414"), AT);
  assert.equal(formatTime(AT), "20261123120414");
  assert.equal(parseTime("19100101000000"), Date.UTC(1910, 0, 1));
  for (const text of ["", "2026", "20261323110812", "20261123250812", "Nov 23 11:08"]) {
    assert.equal(parseTime(text), undefined, text);
  }
});
