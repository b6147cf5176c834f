/** Sample logs are valid to the byte, at any size and read in any pieces. */
import assert from "node:assert/strict";
import { allBytes, type Content, cut, dataflash, Files, joined, noise, sampleCard, sparse, ulog } from "./mod.ts";

/** The kinds of a ULog's messages in order; throws when one does not end where it says. */
function walkUlog(bytes: Uint8Array): string {
  assert.deepEqual([...bytes.subarray(0, 7)], [0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35]);
  const view = new DataView(bytes.buffer);
  let kinds = "";
  let at = 16;
  while (at < bytes.length) {
    const size = view.getUint16(at, true);
    kinds += String.fromCharCode(bytes[at + 2]!);
    at += 3 + size;
  }
  assert.equal(at, bytes.length);
  return kinds;
}

function walkDataflash(bytes: Uint8Array): Map<number, number> {
  const lengths = new Map([[128, 89]]);
  const counts = new Map<number, number>();
  let at = 0;
  while (at < bytes.length) {
    assert.deepEqual([bytes[at], bytes[at + 1]], [0xa3, 0x95], `at ${at}`);
    const type = bytes[at + 2]!;
    if (type === 128) lengths.set(bytes[at + 3]!, bytes[at + 4]!);
    assert.ok(lengths.has(type), `type ${type} has no FMT`);
    counts.set(type, (counts.get(type) ?? 0) + 1);
    at += lengths.get(type)!;
  }
  assert.equal(at, bytes.length);
  return counts;
}

Deno.test("ulog() is a valid log of exactly the size that was asked for", () => {
  for (let size = 400; size < 600; size++) assert.match(walkUlog(allBytes(ulog(size))), /^BI+FAD*L$/);
  for (const size of [35_000, 100_001, 2 << 20]) assert.match(walkUlog(allBytes(ulog(size))), /^BI+FAD{100,}L$/);
  assert.equal(ulog(20).sizeBytes, 20);
  assert.deepEqual(allBytes(ulog(20)), allBytes(ulog(1000)).subarray(0, 20), "a short one is cut");
});

Deno.test("dataflash() is a valid log of exactly the size that was asked for", () => {
  for (let size = 400; size < 500; size++) walkDataflash(allBytes(dataflash(size)));
  assert.ok(walkDataflash(allBytes(dataflash(100_000))).get(131)! > 2000);
});

Deno.test("Contents give the same bytes in any pieces, depend on the seed, and end where they end", () => {
  const contents: [string, (seed: number) => Content][] = [
    ["ulog", (seed) => ulog(5000, seed)],
    ["dataflash", (seed) => dataflash(5000, seed)],
    ["noise", (seed) => noise(5000, seed)],
    ["joined", (seed) => joined(noise(2000, seed), cut(noise(9000, seed + 1), 3000))],
  ];
  for (const [name, make] of contents) {
    const whole = allBytes(make(1));
    for (const size of [1, 7, 239, 4999]) {
      const pieces = new Uint8Array(5000);
      for (let at = 0; at < 5000; at += size) make(1).read(at, pieces.subarray(at, at + size));
      assert.deepEqual(pieces, whole, `${name} in pieces of ${size}`);
    }
    assert.notDeepEqual(allBytes(make(2)), whole, name);
    assert.equal(make(1).read(5000, new Uint8Array(9)), 0);
    assert.equal(make(1).read(4995, new Uint8Array(9)), 5);
  }
});

Deno.test("Sparse files of more than 4 GiB cost nothing and have their islands", () => {
  const content = sparse(5_000_000_000, [{ offset: 4_999_999_990, bytes: Uint8Array.of(1, 2, 3) }]);
  const target = new Uint8Array(10);
  assert.equal(content.read(4_999_999_988, target), 10);
  assert.deepEqual([...target], [0, 0, 1, 2, 3, 0, 0, 0, 0, 0]);
});

Deno.test("A card is made of samples or of a real directory, and changes as cards do", async () => {
  assert.deepEqual(sampleCard("px4-main").paths(), [
    "/fs/microsd/log/2026-11-21/09_14_07.ulg",
    "/fs/microsd/log/2026-11-21/09_51_07.ulg",
    "/fs/microsd/log/2026-11-21/10_28_07.ulg",
  ]);
  assert.deepEqual(sampleCard("ardupilot-4.5", { count: 1 }).paths(), [
    "/APM/LOGS/00000001.BIN",
    "/APM/LOGS/LASTLOG.TXT",
  ]);
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${dir}/sub`);
    await Deno.writeTextFile(`${dir}/sub/ä.ulg`, "hello");
    const files = Files.ofDirectory(dir, "/fs/microsd/log");
    const path = "/fs/microsd/log/sub/\u00c3\u00a4.ulg";
    assert.deepEqual(files.paths(), [path]);
    assert.ok(files.file(path)!.modifiedS > 1_700_000_000);
    const opened = files.file(path)!;
    files.grow(path, " world");
    assert.equal(new TextDecoder().decode(files.bytes(path)), "hello world");
    files.shrink(path, 4);
    assert.equal(opened.content.sizeBytes, 4, "who has it open sees it");
    files.replace(path, "other");
    assert.equal(opened.content.sizeBytes, 4, "and does not see another file of that name");
    files.delete(path);
    assert.equal(files.file(path), undefined);
    assert.throws(() => files.delete(path), /absent/);
    assert.equal(await Deno.readTextFile(`${dir}/sub/ä.ulg`), "hello", "the real file is left alone");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
