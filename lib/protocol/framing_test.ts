import assert from "node:assert/strict";
import { LineSplitter, LineWriter } from "./framing.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function split(chunks: (string | Uint8Array)[], bytesMax = 10): { lines: string[]; oversize: number; rest?: string } {
  let oversize = 0;
  const splitter = new LineSplitter(() => oversize++, bytesMax);
  const lines = chunks.flatMap((chunk) => [
    ...splitter.push(typeof chunk === "string" ? encoder.encode(chunk) : chunk),
  ]);
  const rest = splitter.end();
  return { lines, oversize, ...(rest === undefined ? {} : { rest }) };
}

Deno.test("LineSplitter joins lines over chunks, cut at every byte", () => {
  const text = "one\n\ntwo €\nthree";
  const bytes = encoder.encode(text);
  for (let at = 0; at <= bytes.length; at++) {
    assert.deepEqual(split([bytes.subarray(0, at), bytes.subarray(at)]), {
      lines: ["one", "", "two €"],
      oversize: 0,
      rest: "three",
    });
  }
  assert.deepEqual(split([...bytes].map((byte) => Uint8Array.of(byte))).lines, ["one", "", "two €"]);
});

Deno.test("LineSplitter drops a line over the limit, once, and goes on with the next", () => {
  for (const size of [1, 3, 100]) {
    const bytes = encoder.encode(`good\n${"x".repeat(11)}\nnext\n`);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    assert.deepEqual(split(chunks), { lines: ["good", "next"], oversize: 1 });
  }
});

Deno.test("LineSplitter takes a line of exactly the limit", () => {
  assert.deepEqual(split(["0123456789\n"]), { lines: ["0123456789"], oversize: 0 });
  assert.deepEqual(split(["01234", "567890\n"]), { lines: [], oversize: 1 });
});

Deno.test("LineSplitter has no rest after an oversize end", () => {
  assert.deepEqual(split(["x".repeat(50)]), { lines: [], oversize: 1 });
});

Deno.test("LineSplitter turns bytes that are no UTF-8 into U+FFFD", () => {
  assert.deepEqual(split([Uint8Array.of(0x61, 0xff, 0x0a)]).lines, ["a\ufffd"]);
});

Deno.test("LineSplitter does not look at a chunk again after its lines were taken", () => {
  const splitter = new LineSplitter(() => {});
  const buffer = encoder.encode("one\ntw");
  assert.deepEqual([...splitter.push(buffer)], ["one"]);
  buffer.fill(0x21);
  assert.deepEqual([...splitter.push(encoder.encode("o\n"))], ["two"]);
});

Deno.test("LineWriter writes what queued up while it wrote in one go, in order", async () => {
  const written: string[] = [];
  let release = () => {};
  const blocked = new Promise<void>((resolve) => release = resolve);
  const writer = new LineWriter(async (bytes) => {
    written.push(decoder.decode(bytes));
    if (written.length === 1) await blocked;
  });
  const first = writer.send({ n: 1 });
  await Promise.resolve();
  await Promise.resolve();
  const later = [writer.send({ n: 2 }), writer.send("line\nfeed")];
  release();
  await Promise.all([first, ...later]);
  assert.deepEqual(written, ['{"n":1}\n', '{"n":2}\n"line\\nfeed"\n']);
});

Deno.test("LineWriter rejects when the sink does", async () => {
  const writer = new LineWriter(() => Promise.reject(new Deno.errors.BrokenPipe("gone")));
  await assert.rejects(writer.send(1), Deno.errors.BrokenPipe);
  await assert.rejects(writer.send(2), Deno.errors.BrokenPipe);
});
