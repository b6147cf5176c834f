import assert from "node:assert/strict";
import { ControlLines, LINE_BYTES_MAX, parseCommand } from "./control_line.ts";

const encoder = new TextEncoder();

function linesOf(...chunks: (string | number[])[]): (string | undefined)[] {
  const lines = new ControlLines();
  return chunks.flatMap((chunk) => [
    ...lines.push(typeof chunk === "string" ? encoder.encode(chunk) : new Uint8Array(chunk)),
  ]);
}

Deno.test("ControlLines cuts chunks into lines wherever they were cut on their way", () => {
  const text = "USER pilot\r\nPASS ü€\r\n\r\nNOOP\n";
  const bytes = [...encoder.encode(text)];
  const wanted = ["USER pilot", "PASS ü€", "", "NOOP"];
  assert.deepEqual(linesOf(text), wanted);
  assert.deepEqual(linesOf(...bytes.map((byte) => [byte])), wanted);
  assert.deepEqual(linesOf("unfinished"), []);
});

Deno.test("ControlLines drops a line over the limit, reports it, and reads on", () => {
  const long = "x".repeat(LINE_BYTES_MAX + 1);
  assert.deepEqual(linesOf(`${long}\r\nNOOP\r\n`), [undefined, "NOOP"]);
  assert.deepEqual(linesOf(long, long, long, "\r\nNOOP\r\n"), [undefined, "NOOP"]);
});

Deno.test("ControlLines passes over the Telnet commands that clients send before ABOR", () => {
  assert.deepEqual(linesOf([0xff, 0xf4, 0xff, 0xf2, ...encoder.encode("ABOR\r\n")]), ["ABOR"]);
});

Deno.test("ControlLines takes an ABOR whose newline was urgent data, and one whose newline comes late", () => {
  assert.deepEqual(linesOf("ABOR\r", "NOOP\r\n"), ["ABOR", "NOOP"]);
  assert.deepEqual(linesOf("ABOR\r", "\nNOOP\r\n"), ["ABOR", "NOOP"]);
  assert.deepEqual(linesOf("SIZE ABOR\r", "\n"), ["SIZE ABOR"]);
});

Deno.test("ControlLines keeps a carriage return inside a line, so that the path check sees it", () => {
  assert.deepEqual(linesOf("DELE a\rDELE b\r\n"), ["DELE a\rDELE b"]);
});

Deno.test("parseCommand() takes the verb in any case and leaves the argument as it is", () => {
  assert.deepEqual(parseCommand("retr  two spaces "), { verb: "RETR", argument: " two spaces " });
  assert.deepEqual(parseCommand("Noop"), { verb: "NOOP", argument: "" });
  assert.deepEqual(parseCommand(""), { verb: "", argument: "" });
});
