import assert from "node:assert/strict";
import { blocksOf, goesOnWith, READ_BACK_BYTES } from "./read_back.ts";

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
