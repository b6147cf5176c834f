/** The host's side over in-memory streams: the plugin is a list of what arrived and a function that answers. */
import assert from "node:assert/strict";
import { DriverError } from "../driver/mod.ts";
import { BadAnswer, Connection, type DropReason } from "./connection.ts";
import { fitsJson, type RpcMessage } from "./messages.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Peer {
  readonly connection: Connection;
  readonly sent: RpcMessage[] = [];
  readonly dropped: [DropReason, string][] = [];
  readonly notified: [string, unknown][] = [];
  readonly running: Promise<void>;
  readonly #input = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 1000 }, {
    highWaterMark: 1000,
  });
  readonly #writer = this.#input.writable.getWriter();

  constructor(onSent: (message: RpcMessage, peer: Peer) => void = () => {}) {
    this.connection = new Connection({
      write: (bytes) => {
        for (const line of decoder.decode(bytes).trim().split("\n")) {
          const message = JSON.parse(line);
          this.sent.push(message);
          onSent(message, this);
        }
        return Promise.resolve();
      },
      onNotification: (method, params) => void this.notified.push([method, params]),
      onDropped: (reason, excerpt) => void this.dropped.push([reason, excerpt]),
    });
    this.running = this.connection.run(this.#input.readable);
  }

  raw(text: string): void {
    void this.#writer.write(encoder.encode(text));
  }

  say(message: Record<string, unknown>): void {
    this.raw(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.running;
  }
}

function codeIs(code: string): (error: unknown) => boolean {
  return (error) => error instanceof DriverError && error.code === code;
}

Deno.test("request() gets the answer with its id, in any order", async () => {
  const peer = new Peer((message, peer) => {
    if (message.id === 2) { for (const id of [2, 1]) peer.say({ id, result: `answer ${id}` }); }
  });
  const both = [peer.connection.request("stat", { path: "a" }), peer.connection.request("stat", { path: "b" })];
  assert.deepEqual(await Promise.all(both), ["answer 1", "answer 2"]);
  assert.deepEqual(peer.sent[0], { jsonrpc: "2.0", id: 1, method: "stat", params: { path: "a" } });
  assert.equal(peer.connection.pendingCount, 0);
  await peer.close();
});

Deno.test("request() takes null as a result", async () => {
  const peer = new Peer((message, peer) => peer.say({ id: message.id, result: null }));
  assert.equal(await peer.connection.request("remove", {}), null);
  await peer.close();
});

Deno.test("request() rejects with the driver's error, and with failed for a code that nobody knows", async () => {
  const peer = new Peer((message, peer) => {
    const code = message.method === "stat" ? "denied" : "broken";
    peer.say({ id: message.id, error: { code: -32000, message: "No", data: { code, scope: "file" } } });
  });
  await assert.rejects(peer.connection.request("stat", {}), codeIs("denied"));
  // Only the host may say that a plugin is broken.
  await assert.rejects(peer.connection.request("list", {}), codeIs("failed"));
  await peer.close();
});

Deno.test("request() that is aborted before is not sent", async () => {
  const peer = new Peer();
  await assert.rejects(peer.connection.request("list", {}, { signal: AbortSignal.abort() }), codeIs("cancelled"));
  assert.deepEqual(peer.sent, []);
  await peer.close();
});

Deno.test("request() that is aborted sends $/cancel once and waits for the answer", async () => {
  const abort = new AbortController();
  let cancels = 0;
  const peer = new Peer((message, peer) => {
    if (message.method === "upload") abort.abort();
    if (message.method !== "$/cancel") return;
    const data = { code: "failed", resume: { at: 7 } };
    peer.say({ id: 1, error: { code: -32000, message: "socket was closed", data } });
  });
  const call = peer.connection.request("upload", {}, { signal: abort.signal, onCancel: () => cancels++ });
  await assert.rejects(call, (error) => {
    assert(error instanceof DriverError && error.code === "cancelled");
    assert.deepEqual(error.details, { resume: { at: 7 } });
    return true;
  });
  assert.deepEqual(peer.sent[1], { jsonrpc: "2.0", method: "$/cancel", params: { id: 1 } });
  assert.deepEqual([peer.sent.length, cancels], [2, 1]);
  await peer.close();
});

Deno.test("request() that is aborted keeps a result that overtook the cancellation, and uncertain", async () => {
  for (const uncertain of [false, true]) {
    const abort = new AbortController();
    const peer = new Peer((message, peer) => {
      if (message.method !== "$/cancel") return abort.abort();
      const error = { code: -32000, message: "Lost", data: { code: "uncertain" } };
      peer.say({ id: 1, ...(uncertain ? { error } : { result: "receipt" }) });
    });
    const call = peer.connection.request("upload", {}, { signal: abort.signal });
    if (uncertain) await assert.rejects(call, codeIs("uncertain"));
    else assert.equal(await call, "receipt");
    await peer.close();
  }
});

Deno.test("request() never ends with cancelled unless it was", async () => {
  const peer = new Peer((message, peer) => {
    peer.say({ id: message.id, error: { code: -32000, message: "No", data: { code: "cancelled" } } });
  });
  await assert.rejects(peer.connection.request("stat", {}), codeIs("failed"));
  await peer.close();
});

Deno.test("the end of the stream fails every pending and every later request with broken", async () => {
  const peer = new Peer();
  const pending = [peer.connection.request("list", {}), peer.connection.request("stat", {})];
  const failed = Promise.all(pending.map((call) => assert.rejects(call, codeIs("broken"))));
  await peer.close();
  await failed;
  await assert.rejects(peer.connection.request("stat", {}), codeIs("broken"));
});

Deno.test("end() fails requests with the reason that it makes of their methods, and the first reason stays", async () => {
  const peer = new Peer();
  const call = peer.connection.request("list", {});
  const failed = assert.rejects(call, new RangeError("list"));
  peer.connection.end((method) => new RangeError(method));
  peer.connection.end(() => new Error("later"));
  await failed;
  await assert.rejects(peer.connection.request("stat", {}), new RangeError("stat"));
  await peer.close();
});

Deno.test("a request from the plugin is answered -32601", async () => {
  const answered = Promise.withResolvers<void>();
  const peer = new Peer(() => answered.resolve());
  peer.say({ id: "x", method: "host/exec", params: {} });
  await answered.promise;
  assert.deepEqual(peer.sent, [
    { jsonrpc: "2.0", id: "x", error: { code: -32601, message: 'Method "host/exec" is unknown here' } },
  ]);
  await peer.close();
});

Deno.test("a flood of requests that nobody reads the answers of stops the reader, not the memory", async () => {
  let writes = 0;
  const connection = new Connection({ write: () => (writes++, new Promise(() => {})) });
  let pulled = 0;
  const line = encoder.encode('{"jsonrpc":"2.0","id":1,"method":"a"}\n');
  const input = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(line);
    },
  });
  void connection.run(input);
  for (let turn = 0; turn < 1000; turn++) await Promise.resolve();
  assert.equal(writes, 1);
  assert(pulled < 5);
});

Deno.test("notifications that name a call reach the call, others the owner, late ones nobody", async () => {
  const seen: unknown[] = [];
  const peer = new Peer((message, peer) => {
    if (message.method !== "list") return;
    peer.say({ method: "$/progress", params: { id: 1, doneBytes: 5 } });
    peer.say({ method: "$/state", params: { held: true } });
    peer.say({ method: "odd", params: [1] });
    peer.say({ id: 1, result: {} });
    peer.say({ method: "$/entries", params: { id: 1, entries: [] } });
  });
  await peer.connection.request("list", {}, { onNotification: (method, params) => void seen.push([method, params]) });
  await peer.close();
  assert.deepEqual(seen, [["$/progress", { id: 1, doneBytes: 5 }]]);
  assert.deepEqual(peer.notified, [["$/state", { held: true }], ["odd", {}]]);
  assert.equal(peer.connection.droppedLines, 0);
});

Deno.test("a handler's promise holds back everything after it", async () => {
  const order: string[] = [];
  const peer = new Peer((message, peer) => {
    if (message.method !== "list") return;
    for (const n of [1, 2]) peer.say({ method: "$/entries", params: { id: 1, n } });
    peer.say({ id: 1, result: {} });
  });
  await peer.connection.request("list", {}, {
    onNotification: async (_method, params) => {
      order.push(`start ${params["n"]}`);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      assert(peer.connection.isHandling);
      order.push(`end ${params["n"]}`);
    },
  });
  order.push("result");
  assert.deepEqual(order, ["start 1", "end 1", "start 2", "end 2", "result"]);
  assert.equal(peer.connection.isHandling, false);
  await peer.close();
});

for (const kind of ["throws", "rejects"]) {
  Deno.test(`a handler that ${kind} cancels its call, which fails with that after the answer`, async () => {
    const peer = new Peer((message, peer) => {
      if (message.method === "list") {
        for (const n of [1, 2]) peer.say({ method: "$/entries", params: { id: 1, n } });
      }
      if (message.method === "$/cancel") peer.say({ id: 1, result: { complete: true } });
    });
    const seen: unknown[] = [];
    const call = peer.connection.request("list", {}, {
      onNotification: (_method, params) => {
        seen.push(params["n"]);
        if (kind === "throws") throw new RangeError("full");
        return Promise.reject(new RangeError("full"));
      },
    });
    await assert.rejects(call, new RangeError("full"));
    assert.deepEqual(seen, [1]);
    assert.equal(peer.sent.length, 2);
    await peer.close();
  });
}

Deno.test("lines that are no message are dropped, counted and told with their start", async () => {
  const peer = new Peer();
  peer.raw("\n   \nConnecting ...\n");
  peer.raw('{"jsonrpc":"2.0","method":"$/entries","params":{"id":1,"ent\n');
  peer.raw(`{"pad":"${"x".repeat(1024 * 1024)}"}\n`);
  peer.say({ method: "$/entries", params: { id: "1", entries: [] } });
  peer.say({ method: "$/entries", params: {} });
  peer.say({ id: 77, result: "nobody asked" });
  peer.raw('{"jsonrpc":"2.0","id":1,"res');
  await peer.close();
  assert.deepEqual(peer.dropped.map(([reason]) => reason), [
    "noise",
    "invalid",
    "oversize",
    "stray",
    "stray",
    "truncated",
  ]);
  assert.deepEqual(peer.dropped[0], ["noise", "Connecting ..."]);
  assert(peer.dropped.every(([, excerpt]) => excerpt.length <= 120));
  assert.deepEqual([peer.connection.droppedLines, peer.connection.noiseLines], [5, 1]);
});

Deno.test("a write that fails is told to the owner and does not reject anything by itself", async () => {
  const failed = Promise.withResolvers<unknown>();
  const connection = new Connection({
    write: () => Promise.reject(new Deno.errors.BrokenPipe("gone")),
    onWriteError: failed.resolve,
  });
  const call = connection.request("list", {});
  const ended = assert.rejects(call, codeIs("broken"));
  assert(await failed.promise instanceof Deno.errors.BrokenPipe);
  connection.end();
  await ended;
});

Deno.test("cancelAll() cancels every request once", async () => {
  const peer = new Peer((message, peer) => {
    if (message.method !== "$/cancel") return;
    const { id } = message.params as { id: number };
    peer.say({ id, error: { code: -32000, message: "Stopped", data: { code: "cancelled" } } });
  });
  const calls = ["list", "stat"].map((method) => peer.connection.request(method, {}));
  const ended = Promise.all(calls.map((call) => assert.rejects(call, codeIs("cancelled"))));
  peer.connection.cancelAll();
  peer.connection.cancelAll();
  await ended;
  assert.equal(peer.sent.filter((message) => message.method === "$/cancel").length, 2);
  await peer.close();
});

Deno.test("request() fails at once with BadAnswer when its answer is no JSON-RPC 2.0", async () => {
  const answers = [
    '{"jsonrpc":"2.0","id":1,"error":"oops"}',
    '{"jsonrpc":"2.0","id":1,"error":{}}',
    '{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":7}}',
    '{"jsonrpc":"2.0","id":1}',
    '{"id":1,"result":{}}',
  ];
  for (const answer of answers) {
    const peer = new Peer((_, peer) => peer.raw(`${answer}\n`));
    await assert.rejects(peer.connection.request("stat", {}), BadAnswer, answer);
    assert.deepEqual(peer.dropped.map(([reason]) => reason), ["invalid"]);
    await peer.close();
  }
});

Deno.test("request() takes an error of null for none, as JSON-RPC 1.0 sends it", async () => {
  const peer = new Peer((_, peer) => peer.say({ id: 1, error: null, result: "yes" }));
  assert.equal(await peer.connection.request("stat", {}), "yes");
  await peer.close();
});

Deno.test("an unreadable answer to nobody harms nobody", async () => {
  const peer = new Peer((message, peer) => {
    peer.raw('{"jsonrpc":"2.0","id":77,"error":"oops"}\n');
    peer.say({ id: message.id, result: "yes" });
  });
  assert.equal(await peer.connection.request("stat", {}), "yes");
  await peer.close();
});

Deno.test("request() drops a resume state that is nested too deep to be written again", async () => {
  const deep = "[".repeat(300_000) + "]".repeat(300_000);
  const peer = new Peer((_, peer) =>
    peer.raw(
      `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"x","data":{"code":"failed","resume":${deep}}}}\n`,
    )
  );
  const error = await peer.connection.request("upload", {}).then(() => undefined, (error) => error as DriverError);
  assert.deepEqual([error?.code, error?.details], ["failed", {}]);
  await peer.close();
});

Deno.test("a resume state is measured in bytes of UTF-8", () => {
  assert.ok(fitsJson("r".repeat(4094), 4096));
  assert.ok(!fitsJson("r".repeat(4095), 4096));
  assert.ok(!fitsJson("\u65e5".repeat(1400), 4096));
  assert.ok(!fitsJson(undefined, 4096));
});
