import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { blocksOf, goesOnWith, holdsSame, READ_BACK_BYTES } from "./read_back.ts";

const MIB = 1024 * 1024;

Deno.test("blocksOf() is all of a small file, and both ends of a large one with blocks between, the last first", () => {
  assert.deepEqual([...blocksOf(0)], [[0, 0]]);
  assert.deepEqual([...blocksOf(8 * MIB)], [[0, 8 * MIB]]);
  const blocks = [...blocksOf(100 * MIB)];
  assert.deepEqual(blocks.slice(0, 2), [[100 * MIB - READ_BACK_BYTES, READ_BACK_BYTES], [0, READ_BACK_BYTES]]);
  assert.equal(blocks.length, 18);
  assert(blocks.every(([at, length]) => at >= 0 && at + length <= 100 * MIB));
});

Deno.test("goesOnWith() compares from where the file is, and sees a difference and an end", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "abcdef");
    using file = await Deno.open(path);
    const next = (text: string) => goesOnWith(file, new TextEncoder().encode(text), new Uint8Array(8));
    assert.deepEqual([next("ab"), next("cd"), next("eX")], [true, true, false]);
    assert.equal(next("g"), false);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("holdsSame() sees a changed byte at either end of a large file, and any byte of a small one", async () => {
  const spoolFile = await Deno.makeTempFile();
  try {
    for (const sizeBytes of [3 * READ_BACK_BYTES, 9 * MIB]) {
      const bytes = new Uint8Array(sizeBytes).map((_, at) => at % 251);
      await Deno.writeFile(spoolFile, bytes);
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const holds = (device: Uint8Array) =>
        holdsSame({ spoolFile, sizeBytes, sha256 }, (at, length, take) => {
          const wanted = device.subarray(at, at + length);
          const isTaken = take(wanted.subarray(0, 1000)) && take(wanted.subarray(1000));
          return Promise.resolve(isTaken && wanted.length === length);
        });
      assert.equal(await holds(bytes), true);
      assert.equal(await holds(bytes.subarray(0, -1)), false);
      for (const at of [0, sizeBytes - 1]) assert.equal(await holds(bytes.with(at, 255)), false, `byte ${at}`);
    }
  } finally {
    await Deno.remove(spoolFile);
  }
});
