import assert from "node:assert/strict";
import { Outlet, type OutletStream } from "./outlet.ts";

/** A stream whose reader reads when it is told to. */
class Stream implements OutletStream {
  taken = "";
  failure: Error | undefined;
  #gate: PromiseWithResolvers<void> | undefined;

  stop(): void {
    this.#gate ??= Promise.withResolvers();
  }

  go(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#gate?.promise;
    if (this.failure !== undefined) throw this.failure;
    this.taken += new TextDecoder().decode(bytes);
    return bytes.length;
  }

  writeSync(): number {
    throw new Error("A write that waits would stop the program");
  }
}

Deno.test("Outlet takes text while nobody reads, drops what finds no room, and says so", async () => {
  const stream = new Stream();
  const outlet = new Outlet(stream, { waitingMax: 10, mayWait: true, apology: (dropped) => `(${dropped} lost)\n` });
  stream.stop();
  outlet.write("first\n");
  await Promise.resolve();
  await Promise.resolve();
  for (const text of ["second\n", "third\n", "fourth\n"]) outlet.write(text);
  await outlet.flush(5);
  assert.deepEqual([stream.taken, outlet.dropped], ["", 2], "flush() gives up on a reader that does not read");
  stream.go();
  await outlet.flush(1000);
  assert.equal(stream.taken, "first\nsecond\n(2 lost)\n");
  assert.equal(outlet.dropped, 0);
});

Deno.test("Outlet writes what comes while a write ends", async () => {
  const stream = new Stream();
  const outlet = new Outlet(stream, { waitingMax: 1000, mayWait: true });
  for (let n = 0; n < 50; n++) {
    outlet.write(`${n},`);
    for (let turns = n % 7; turns > 0; turns--) await Promise.resolve();
  }
  await outlet.flush(1000);
  assert.equal(stream.taken, Array.from({ length: 50 }, (_, n) => `${n},`).join(""));
});

Deno.test("Outlet is closed by a reader that left, and goes on after a full non-blocking stream", async () => {
  const stream = new Stream();
  const outlet = new Outlet(stream, { waitingMax: 1000, mayWait: true });
  stream.failure = new Deno.errors.WouldBlock();
  outlet.write("a");
  await new Promise((resolve) => setTimeout(resolve, 20));
  stream.failure = undefined;
  await outlet.flush(1000);
  assert.deepEqual([stream.taken, outlet.isOpen], ["a", true]);
  stream.failure = new Deno.errors.BrokenPipe();
  outlet.write("b");
  await outlet.flush(1000);
  outlet.write("c");
  assert.deepEqual([stream.taken, outlet.isOpen, outlet.waiting], ["a", false, 0]);
});
