import assert from "node:assert/strict";
import { isZero } from "../../lib/protocol/serve.ts";
import { isEqual, pump } from "./copy.ts";
import { testCall } from "./test_call.ts";

Deno.test("isEqual() sees a difference at every place of a block", () => {
  for (const length of [0, 1, 3, 4, 15, 16, 17, 33]) {
    assert.ok(isEqual(new Uint8Array(length), new Uint8Array(length)));
    for (let at = 0; at < length; at++) {
      const other = new Uint8Array(length);
      other[at] = 1;
      assert.ok(!isEqual(new Uint8Array(length), other), `byte ${at} of ${length}`);
    }
  }
});

Deno.test("isZero() is true only for many zeros without exception", () => {
  const size = 64 * 1024 + 3;
  assert.ok(isZero(new Uint8Array(size)));
  assert.ok(!isZero(new Uint8Array(1000)), "too few for a hole");
  for (const at of [0, 1, 31, 32, 65_535, size - 1]) {
    const bytes = new Uint8Array(size);
    bytes[at] = 1;
    assert.ok(!isZero(bytes), `byte ${at}`);
  }
});

Deno.test("pump() stops at the end that was asked for, also when the file has grown", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeFile(file, new Uint8Array(1000).fill(1));
    using source = Deno.openSync(file);
    const sizes: number[] = [];
    const take = (block: Uint8Array) => void sizes.push(block.length);
    assert.equal(await pump(source, { startBytes: 100, endBytes: 700, take, call: testCall() }), 700);
    assert.equal(await pump(source, { startBytes: 900, endBytes: 2000, take, call: testCall() }), 1000);
    assert.deepEqual(sizes, [600, 100]);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("pump() lets a timer run while it moves a large file", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.truncate(file, 2_000_000_000);
    using source = Deno.openSync(file);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 1);
    const call = testCall({ signal: abort.signal });
    await assert.rejects(pump(source, { startBytes: 0, endBytes: 2_000_000_000, take: () => {}, call }), {
      name: "AbortError",
    });
  } finally {
    await Deno.remove(file);
  }
});
