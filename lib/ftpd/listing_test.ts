import assert from "node:assert/strict";
import { FACTS, formatTime, type ListedEntry, listLine, mlsxLine, parseTime } from "./listing.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 12, 0, 0);
const FILE: ListedEntry = {
  name: "log 7.ulg",
  kind: "file",
  sizeBytes: 5_000_000_000,
  modifiedMs: Date.UTC(2026, 10, 3, 4, 5, 6),
};

Deno.test("formatTime() writes UTC, with a fraction only where there is one", () => {
  assert.equal(formatTime(Date.UTC(2020, 1, 29, 23, 59, 58)), "20200229235958");
  assert.equal(formatTime(Date.UTC(2020, 1, 29, 23, 59, 58, 40)), "20200229235958.040");
});

Deno.test("parseTime() reads what formatTime() writes and refuses what is no time", () => {
  for (const ms of [0, Date.UTC(2020, 1, 29, 23, 59, 58, 40), NOW_MS]) assert.equal(parseTime(formatTime(ms)), ms);
  assert.equal(parseTime("20200102030405.5"), Date.UTC(2020, 0, 2, 3, 4, 5, 500));
  for (const text of ["", "2020010203040", "20201302030405", "20210229030405", "20200102250405", "20200102030405x"]) {
    assert.equal(parseTime(text), undefined, text);
  }
});

Deno.test("mlsxLine() tells the facts that were asked for, in RFC 3659's form", () => {
  const options = { writable: true };
  assert.equal(
    mlsxLine(FILE, new Set(FACTS), options),
    "type=file;size=5000000000;modify=20261103040506;perm=adfrw; log 7.ulg",
  );
  assert.equal(mlsxLine(FILE, new Set(["size"]), options), "size=5000000000; log 7.ulg");
  assert.equal(mlsxLine(FILE, new Set(), options), " log 7.ulg");
  const directory: ListedEntry = { ...FILE, kind: "directory", name: "d" };
  assert.equal(
    mlsxLine(directory, new Set(FACTS), { writable: false }),
    "type=dir;modify=20261103040506;perm=el; d",
  );
  const link: ListedEntry = { ...FILE, kind: "link", name: "l", linkTo: "/d" };
  assert.equal(mlsxLine(link, new Set(["type"]), options), "type=OS.unix=slink:/d; l");
});

Deno.test("listLine() looks like ls -l: the time of a recent file, the year of an old one", () => {
  const options = { writable: true, nowMs: NOW_MS };
  assert.equal(listLine(FILE, options), "-rw-r--r-- 1 ftp ftp   5000000000 Nov  3 04:05 log 7.ulg");
  assert.equal(
    listLine({ ...FILE, modifiedMs: Date.UTC(2019, 11, 31) }, options),
    "-rw-r--r-- 1 ftp ftp   5000000000 Dec 31  2019 log 7.ulg",
  );
  assert.equal(
    listLine({ ...FILE, kind: "directory", name: "d" }, { ...options, writable: false }),
    "dr-xr-xr-x 2 ftp ftp         4096 Nov  3 04:05 d",
  );
  assert.match(listLine({ ...FILE, kind: "link", name: "l", linkTo: "/d" }, options), /^lrwx.* l -> \/d$/);
});
