import assert from "node:assert/strict";
import { DriverError } from "../driver/mod.ts";
import { OVERLAP_BYTES, SpoolWriter } from "./spool_writer.ts";

async function withSpoolFile(content: Uint8Array, run: (file: string) => void): Promise<void> {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeFile(file, content);
    run(file);
  } finally {
    await Deno.remove(file);
  }
}

/** Bytes that differ from their neighbours, so that a shift shows. */
function content(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
}

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof DriverError && error.code === code;
}

Deno.test("SpoolWriter writes a file from its start", () =>
  withSpoolFile(new Uint8Array(0), (file) => {
    const bytes = content(1000);
    using writer = new SpoolWriter(file, 0);
    assert.equal(writer.startBytes, 0);
    for (let at = 0; at < bytes.length; at += 7) writer.write(bytes.subarray(at, at + 7));
    assert.equal(writer.positionBytes, 1000);
    assert.deepEqual(Deno.readFileSync(file), bytes);
  }));

Deno.test("SpoolWriter goes on from an offset and compares the overlap, for chunks of any size", async () => {
  const bytes = content(OVERLAP_BYTES + 5000);
  const offset = OVERLAP_BYTES + 2000;
  for (const size of [1000, 4096, OVERLAP_BYTES - 1, OVERLAP_BYTES + 4000]) {
    await withSpoolFile(bytes.subarray(0, offset), (file) => {
      using writer = new SpoolWriter(file, offset);
      assert.equal(writer.startBytes, 2000);
      for (let at = writer.startBytes; at < bytes.length; at += size) writer.write(bytes.subarray(at, at + size));
      assert.equal(writer.positionBytes, bytes.length);
      assert.deepEqual(Deno.readFileSync(file), bytes);
    });
  }
});

Deno.test("SpoolWriter cuts off what lies beyond the offset", () =>
  withSpoolFile(content(500), (file) => {
    using writer = new SpoolWriter(file, 100, 0);
    assert.equal(writer.startBytes, 100);
    writer.write(Uint8Array.of(1, 2, 3));
    assert.deepEqual(Deno.readFileSync(file), Uint8Array.from([...content(100), 1, 2, 3]));
  }));

Deno.test("SpoolWriter fails with corrupt when the source differs in the overlap, and writes nothing", () =>
  withSpoolFile(content(100), (file) => {
    using writer = new SpoolWriter(file, 100);
    const other = content(200);
    other[60] = (other[60] ?? 0) ^ 1;
    assert.throws(() => writer.write(other), isCode("corrupt"));
    assert.deepEqual(Deno.readFileSync(file), content(100));
  }));

Deno.test("SpoolWriter refuses an offset beyond the file", () =>
  withSpoolFile(content(10), (file) => {
    assert.throws(() => new SpoolWriter(file, 11), isCode("corrupt"));
  }));

Deno.test("SpoolWriter fails with no_space when the disk is full, after any number of bytes", () =>
  withSpoolFile(new Uint8Array(0), (file) => {
    using writer = new SpoolWriter(file, 0);
    const real = Deno.FsFile.prototype.writeSync;
    let room = 10;
    Deno.FsFile.prototype.writeSync = function (bytes) {
      if (room === 0) throw new Error("No space left on device (os error 28)");
      const count = real.call(this, bytes.subarray(0, Math.min(room, 4)));
      room -= count;
      return count;
    };
    try {
      assert.throws(() => writer.write(content(100)), isCode("no_space"));
    } finally {
      Deno.FsFile.prototype.writeSync = real;
    }
    assert.equal(writer.positionBytes, 10);
    assert.deepEqual(Deno.readFileSync(file), content(10));
  }));
