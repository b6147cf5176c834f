import assert from "node:assert/strict";
import { type Head, ReplyParser } from "./parse_reply.ts";

interface Read {
  heads: Head[];
  bodies: string[];
  endsCount: number;
  isEnd: boolean;
}

/** Reads `text` in pieces of `step` bytes. */
function read(text: string, step = Infinity): Read {
  const bytes = new TextEncoder().encode(text);
  const read: Read = { heads: [], bodies: [], endsCount: 0, isEnd: false };
  const parser = new ReplyParser({
    onHead(head) {
      read.heads.push(head);
      if (head.status >= 200) read.bodies.push("");
    },
    onBody: (bytes) => read.bodies[read.bodies.length - 1] += new TextDecoder().decode(bytes),
    onEnd: () => read.endsCount++,
  });
  for (let at = 0; at < bytes.length; at += step) parser.push(bytes.subarray(at, at + step));
  read.isEnd = parser.end();
  return read;
}

const TWO = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\nETag: "a"\r\n\r\nok' +
  "HTTP/1.1 207 Multi-Status\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: u\r\n\r\n" +
  "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

Deno.test("ReplyParser reads answers one after the other, however they are cut into pieces", () => {
  for (const step of [1, 2, 3, 7, 50, Infinity]) {
    const { heads, bodies, endsCount, isEnd } = read(TWO, step);
    assert.deepEqual(heads.map(({ status }) => status), [100, 201, 207, 204]);
    assert.deepEqual(heads.map(({ isKept }) => isKept), [true, true, true, false]);
    assert.deepEqual(bodies, ["ok", "abc0123456789", ""]);
    assert.equal(heads[1]!.headers.get("etag"), '"a"');
    assert.equal(endsCount, 3);
    assert.ok(isEnd);
  }
});

Deno.test("ReplyParser ends a body without a length with the connection, and misses the end of one with a length", () => {
  const open = read("HTTP/1.0 200 OK\r\n\r\nall of it");
  assert.deepEqual([open.bodies, open.endsCount, open.isEnd, open.heads[0]!.isKept], [["all of it"], 1, true, false]);
  const short = read("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
  assert.deepEqual([short.endsCount, short.isEnd], [0, false]);
  assert.equal(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n").isEnd, false);
  assert.equal(read("HTTP/1.1 2").isEnd, false);
});

Deno.test("ReplyParser takes no answer with two ends, without an end, or of another protocol", () => {
  const length = (value: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${value}\r\n`;
  for (
    const text of [
      `${length("1")}Content-Length: 2\r\n\r\n`,
      `${length("-1")}\r\n`,
      `${length("1e3")}\r\n`,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
      "220 ftp.example ready\r\n\r\n",
      `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`,
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${"1".repeat(5000)}`,
    ]
  ) {
    assert.throws(() => read(text, 1000), SyntaxError, text.slice(0, 60));
  }
  // A length beside chunks is none (RFC 9112 section 6.3).
  assert.deepEqual(read(`${length("99")}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`).bodies, ["a"]);
});
