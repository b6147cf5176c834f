import assert from "node:assert/strict";
import { checksumOf, samplePrefix } from "./hash.ts";

async function withFile(bytes: Uint8Array, work: (path: string) => void | Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "filesync-hash-" });
  try {
    await Deno.writeFile(path, bytes);
    await work(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("checksumOf() knows what sources offer, and says so of what it does not know", async () => {
  await withFile(new TextEncoder().encode("abc"), async (path) => {
    assert.equal(await checksumOf(path, "md5"), "900150983cd24fb0d6963f7d28e17f72");
    assert.equal(await checksumOf(path, "sha1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert.equal(await checksumOf(path, "crc32"), undefined);
    assert.equal(await checksumOf(path, "toString"), undefined);
  });
});

Deno.test("samplePrefix() sees a prefix that was written anew or cut, and not what comes after it", async () => {
  const bytes = new Uint8Array(3_000_000).map((_, at) => at * 7);
  await withFile(bytes, async (path) => {
    const before = samplePrefix(path, 2_000_000);
    await Deno.writeFile(path, bytes.subarray(0, 100), { append: true });
    assert.equal(samplePrefix(path, 2_000_000), before);
    for (const at of [0, 1_999_999]) {
      const file = Deno.openSync(path, { read: true, write: true });
      file.seekSync(at, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array([bytes[at]! ^ 1]));
      file.close();
      assert.notEqual(samplePrefix(path, 2_000_000), before, `byte ${at}`);
      await Deno.writeFile(path, bytes);
    }
    Deno.truncateSync(path, 1_000_000);
    assert.notEqual(samplePrefix(path, 2_000_000), before);
  });
  await withFile(new Uint8Array(3), (path) => assert.equal(samplePrefix(path, 3), samplePrefix(path, 3)));
});
