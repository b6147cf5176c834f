/**
 * Cases about a source that holds files already and that nobody can put some on: a mailbox, tags of a repository, a
 * camera in use. They read, and change nothing.
 */
import assert from "node:assert/strict";
import { type Entry, fingerprintOf } from "../driver/mod.ts";
import { assertBytes, type Bench } from "./bench.ts";
import { type Case, SOURCE } from "./case.ts";

/** Files that are fetched: the smallest of them, since a device in use may hold days of film. */
const FILES_MAX = 3;

export const READING_CASES: readonly Case[] = [
  { name: "list() twice says the same, and stat() what list() says", roles: SOURCE, run: agrees },
  { name: "download() twice brings the same bytes, as many as were listed", roles: SOURCE, run: repeats },
  {
    name: "download() goes on in the middle of a file of the device",
    roles: SOURCE,
    needs: (can) => can.resumeDownload === true,
    run: resumes,
  },
];

/** What the device holds; fails when that is nothing. */
async function filesOf(bench: Bench): Promise<Entry[]> {
  const files = (await bench.listAll()).filter(({ kind, problem }) => kind === "file" && problem === undefined);
  assert.ok(files.length > 0, "The device holds no file to try");
  return files.sort((a, b) => (a.sizeBytes ?? Infinity) - (b.sizeBytes ?? Infinity) || (a.path < b.path ? -1 : 1));
}

async function agrees(bench: Bench): Promise<void> {
  const files = await filesOf(bench);
  assert.deepEqual(await filesOf(bench), files);
  for (const file of files.slice(0, FILES_MAX)) assert.deepEqual(await bench.client.stat(file.path), file);
}

async function repeats(bench: Bench): Promise<void> {
  for (const file of (await filesOf(bench)).slice(0, FILES_MAX)) {
    const expect = fingerprintOf(file);
    const { bytes, result } = await bench.download(file.path, { expect });
    assert.equal(result.sizeBytes, bytes.length, `sizeBytes of "${file.path}"`);
    if (file.sizeBytes !== undefined) assert.equal(bytes.length, file.sizeBytes, `size of "${file.path}"`);
    for (const [field, value] of Object.entries(result.fingerprint)) {
      const listed = expect[field as keyof typeof expect];
      if (listed !== undefined) assert.deepEqual(value, listed, `${field} of "${file.path}"`);
    }
    assertBytes((await bench.download(file.path, { expect })).bytes, bytes, `"${file.path}" for the second time`);
  }
}

async function resumes(bench: Bench): Promise<void> {
  for (const file of (await filesOf(bench)).slice(0, FILES_MAX)) {
    const expect = fingerprintOf(file);
    const { bytes } = await bench.download(file.path, { expect });
    const prefix = bytes.slice(0, bytes.length >> 1);
    const again = await bench.download(file.path, { expect, prefix, offsetBytes: prefix.length });
    assertBytes(again.bytes, bytes, `"${file.path}" from byte ${prefix.length} on`);
  }
}
