/** The plugin's side over in-memory streams; the host's side is a plain list of lines, so that every byte is seen. */
import assert from "node:assert/strict";
import { type Driver, DriverError, type Entry } from "../driver/mod.ts";
import { LineSplitter } from "./framing.ts";
import { ENTRIES_MAX, LINE_BYTES_MAX, type RpcMessage } from "./messages.ts";
import { serveStreams } from "./serve.ts";

const MANIFEST = {
  name: "test",
  version: "1",
  args: { properties: { host: { type: "string" }, port: { type: "integer", default: 21 } }, required: ["host"] },
};

const encoder = new TextEncoder();

/** A served driver, and the host's end of its streams. */
class Session {
  readonly done: Promise<void>;
  readonly messages: RpcMessage[] = [];
  readonly lineBytes: number[] = [];
  readonly #input = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 1000 });
  readonly #writer = this.#input.writable.getWriter();
  #arrived: () => void = () => {};

  constructor(driver: Partial<Driver>) {
    const splitter = new LineSplitter(() => assert.fail("driver wrote a line over the limit"));
    this.done = serveStreams(
      { initialize: () => ({ name: "test", version: "1", capabilities: {} }), ...driver },
      MANIFEST,
      {
        input: this.#input.readable,
        write: (bytes) => {
          for (const line of splitter.push(bytes)) {
            this.lineBytes.push(encoder.encode(line).length);
            this.messages.push(JSON.parse(line));
          }
          this.#arrived();
          return Promise.resolve();
        },
      },
    );
  }

  raw(text: string): void {
    void this.#writer.write(encoder.encode(text));
  }

  send(message: Record<string, unknown>): void {
    this.raw(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  }

  /** Sends a request and waits for its answer. */
  async ask(id: number, method: string, params: unknown = {}): Promise<RpcMessage> {
    this.send({ id, method, params });
    return await this.find((message) => message.id === id);
  }

  async find(wanted: (message: RpcMessage) => boolean): Promise<RpcMessage> {
    for (;;) {
      const found = this.messages.find(wanted);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#arrived = resolve);
    }
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.done;
  }
}

function codeOf(message: RpcMessage): unknown {
  return (message.error?.data as { code?: unknown } | undefined)?.code;
}

Deno.test("serveStreams() gives initialize checked arguments with defaults", async () => {
  let args: unknown;
  const session = new Session({
    initialize(params) {
      args = params.args;
      return { name: "test", version: "1", deviceId: "x", capabilities: { callsMax: 2 } };
    },
  });
  const answer = await session.ask(1, "initialize", { protocol: 1, args: { host: "nas" } });
  assert.deepEqual(args, { host: "nas", port: 21 });
  assert.deepEqual(answer.result, { name: "test", version: "1", deviceId: "x", capabilities: { callsMax: 2 } });
  await session.close();
});

Deno.test("serveStreams() refuses wrong arguments with a pointer and another protocol with what to do", async () => {
  const session = new Session({});
  const wrong = await session.ask(1, "initialize", { protocol: 1, args: { host: 5 } });
  assert.deepEqual([codeOf(wrong), (wrong.error?.data as { pointer: string }).pointer], ["invalid_config", "/host"]);
  const other = await session.ask(2, "initialize", { protocol: 2, args: { host: "nas" } });
  assert.equal(codeOf(other), "unsupported");
  assert.match((other.error?.data as { hint: string }).hint, /Install/);
  await session.close();
});

Deno.test("serveStreams() answers unknown and missing methods with -32601 and bad parameters with -32602", async () => {
  const session = new Session({ stat: () => Promise.resolve({ path: "a", kind: "file" }) });
  assert.equal((await session.ask(1, "fly")).error?.code, -32601);
  assert.equal((await session.ask(2, "upload", { path: "a", spoolFile: "b", sha256: "c" })).error?.code, -32601);
  assert.equal((await session.ask(3, "stat", { path: 7 })).error?.code, -32602);
  assert.equal((await session.ask(4, "stat")).error?.code, -32602);
  assert.deepEqual((await session.ask(5, "stat", { path: "a" })).result, { path: "a", kind: "file" });
  await session.close();
});

Deno.test("serveStreams() ignores garbage, blank lines, half messages, answers and unknown notifications", async () => {
  const session = new Session({ check: () => Promise.resolve([]) });
  session.raw("\n  \nnot json\n[]\n7\nnull\n{}\n");
  session.raw('{"jsonrpc":"2.0","id":{},"method":"check"}\n{"jsonrpc":"1.0","id":1,"method":"check"}\n');
  session.send({ id: 3, result: {} });
  session.send({ method: "$/future", params: 1 });
  session.send({ method: "$/cancel", params: { id: 99 } });
  session.raw('{"jsonrpc":"2.0","id":5,');
  session.raw('"method":"check"}\n');
  assert.deepEqual((await session.find((message) => message.id === 5)).result, []);
  assert.equal(session.messages.length, 1);
  await session.close();
});

Deno.test("serveStreams() drops a line over 1 MiB, says so, and goes on", async () => {
  const session = new Session({ check: () => Promise.resolve([]) });
  session.raw(`{"pad":"${"x".repeat(LINE_BYTES_MAX)}"}\n`);
  assert.deepEqual((await session.ask(1, "check")).result, []);
  const log = await session.find((message) => message.method === "$/log");
  assert.equal((log.params as { level: string }).level, "error");
  await session.close();
});

Deno.test("serveStreams() passes a driver's error on and makes failed of any other", async () => {
  const session = new Session({
    stat: () => Promise.reject(new DriverError("not_found", "No such file", { hint: "look", retryAfterMs: 5 })),
    remove: () => Promise.reject(new Error("socket hang up")),
  });
  const known = await session.ask(1, "stat", { path: "a" });
  assert.deepEqual(known.error, {
    code: -32000,
    message: "No such file",
    data: { code: "not_found", hint: "look", retryAfterMs: 5 },
  });
  const other = await session.ask(2, "remove", { path: "a", expect: {} });
  assert.deepEqual([codeOf(other), other.error?.message], ["failed", "socket hang up"]);
  await session.close();
});

Deno.test("$/cancel aborts the call's signal, and the call ends with cancelled", async () => {
  const session = new Session({
    list: (_params, call) =>
      new Promise((_, reject) => {
        call.progress(0);
        call.signal.addEventListener("abort", () => reject(new Error("socket was closed")));
      }),
  });
  session.send({ id: 1, method: "list", params: { directory: "" } });
  await session.find((message) => message.method === "$/progress");
  session.send({ method: "$/cancel", params: { id: 1 } });
  assert.equal(codeOf(await session.find((message) => message.id === 1)), "cancelled");
  await session.close();
});

Deno.test("$/limit and maxBytesPerSecond limit throttle(), and 0 lifts the limit", async () => {
  const session = new Session({
    async download(params, call) {
      call.progress(0);
      await call.throttle(1e9);
      return { sizeBytes: params.offsetBytes, fingerprint: {} };
    },
  });
  session.send({
    id: 1,
    method: "download",
    params: { path: "a", spoolFile: "b", offsetBytes: 7, expect: {}, maxBytesPerSecond: 1 },
  });
  await session.find((message) => message.method === "$/progress");
  assert.equal(session.messages.some((message) => message.id === 1), false);
  session.send({ method: "$/limit", params: { id: 1, maxBytesPerSecond: 0 } });
  const answer = await session.find((message) => message.id === 1);
  assert.deepEqual(answer.result, { sizeBytes: 7, fingerprint: {} });
  await session.close();
});

Deno.test("entries() splits by count and by size, and keeps every line under the limit", async () => {
  const many: Entry[] = Array.from({ length: 2500 }, (_, at) => ({ path: `f${at}`, kind: "file" }));
  const long: Entry[] = Array.from({ length: 900 }, (_, at) => ({ path: `${at}/${"€".repeat(1300)}`, kind: "file" }));
  const session = new Session({ list: (_params, call) => call.entries([...many, ...long]) });
  assert.deepEqual((await session.ask(1, "list", { directory: "" })).result, { complete: true });
  const batches = session.messages.filter((message) => message.method === "$/entries")
    .map((message) => message.params as { id: number; entries: Entry[] });
  assert.deepEqual(batches.flatMap(({ entries }) => entries), [...many, ...long]);
  assert(batches.every(({ id, entries }) => id === 1 && entries.length <= ENTRIES_MAX));
  assert(session.lineBytes.every((bytes) => bytes <= LINE_BYTES_MAX));
  await session.close();
});

Deno.test("progress() sends the first at once, the rest at most 5 a second, and never loses a resume state", async () => {
  const session = new Session({
    upload(params, call) {
      for (let done = 0; done < 1000; done++) call.progress(done);
      call.progress(1000, { resume: { at: 1000 } });
      return Promise.resolve({ path: params.path, sizeBytes: 1, verified: "none" as const });
    },
  });
  await session.ask(1, "upload", { path: "a", spoolFile: "b", sha256: "c" });
  const progress = session.messages.filter((message) => message.method === "$/progress").map(({ params }) => params);
  assert.deepEqual(progress, [{ id: 1, doneBytes: 0 }, { id: 1, doneBytes: 1000, resume: { at: 1000 } }]);
  await session.close();
});

Deno.test("progress() of a call that fails is told to its last", async () => {
  const session = new Session({
    upload(_params, call) {
      for (let done = 0; done < 1000; done++) call.progress(done);
      return Promise.reject(new Error("The link broke"));
    },
  });
  await session.ask(1, "upload", { path: "a", spoolFile: "b", sha256: "c" });
  const progress = session.messages.filter((message) => message.method === "$/progress").map(({ params }) => params);
  assert.deepEqual(progress, [{ id: 1, doneBytes: 0 }, { id: 1, doneBytes: 999 }]);
  await session.close();
});
Deno.test("confirm is answered with a receipt or null in a field", async () => {
  const session = new Session({ confirm: () => Promise.resolve(null) });
  assert.deepEqual((await session.ask(1, "confirm", { path: "a", sha256: "c" })).result, { receipt: null });
  await session.close();
});

Deno.test("shutdown closes the driver once, answers, and ends the service with its input still open", async () => {
  let closed = 0;
  const session = new Session({ shutdown: () => (closed++, Promise.resolve()) });
  assert.deepEqual((await session.ask(1, "shutdown")).result, {});
  await session.done;
  assert.equal(closed, 1);
});

Deno.test("the end of the input aborts what runs and closes the driver", async () => {
  let closed = 0;
  let aborted = false;
  const session = new Session({
    list: (_params, call) =>
      new Promise((resolve) => {
        call.progress(0);
        call.signal.addEventListener("abort", () => {
          aborted = true;
          resolve();
        });
      }),
    shutdown: () => (closed++, Promise.resolve()),
  });
  session.send({ id: 1, method: "list", params: { directory: "" } });
  await session.find((message) => message.method === "$/progress");
  await session.close();
  assert.deepEqual([closed, aborted], [1, true]);
});
