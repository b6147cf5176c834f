import assert from "node:assert/strict";
import { BadReply, LineReader, type Reply, ReplyParser } from "./parse_reply.ts";

const encoder = new TextEncoder();

function parse(text: string, chunkBytes: number): Reply[] {
  const parser = new ReplyParser();
  const bytes = encoder.encode(text);
  const replies: Reply[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    replies.push(...parser.push(bytes.subarray(at, at + chunkBytes)));
  }
  return replies;
}

Deno.test("ReplyParser reads single and multi-line replies, however they are cut", () => {
  const text = "220 Willkommen über FTP\r\n" +
    "211-Extensions supported:\r\n EPRT\r\n MLST type*;size*;modify*;\r\n211-still\r\n210 inner\r\n211 End.\r\n" +
    "230-\r\n230\r\n331 Any password\n";
  for (const chunkBytes of [1, 2, 3, 7, 1000]) {
    assert.deepEqual(parse(text, chunkBytes), [
      { code: 220, lines: ["220 Willkommen über FTP"] },
      {
        code: 211,
        lines: [
          "211-Extensions supported:",
          " EPRT",
          " MLST type*;size*;modify*;",
          "211-still",
          "210 inner",
          "211 End.",
        ],
      },
      { code: 230, lines: ["230-", "230"] },
      { code: 331, lines: ["331 Any password"] },
    ]);
  }
});

Deno.test("ReplyParser refuses what is no FTP and what has no end", () => {
  assert.throws(() => parse("HTTP/1.1 400 Bad Request\r\n", 100), BadReply);
  assert.throws(() => parse("x".repeat(20_000), 1000), BadReply);
  assert.throws(() => parse(`220-\r\n${"a\r\n".repeat(3000)}`, 1000), BadReply);
});

Deno.test("LineReader cuts at LF and CR LF and gives the rest at the end", () => {
  const reader = new LineReader();
  assert.deepEqual([...reader.push(encoder.encode("a\r\nb\n\nc\r"))], ["a", "b", ""]);
  assert.deepEqual([...reader.push(encoder.encode("\nd"))], ["c"]);
  assert.equal(reader.end(), "d");
  assert.equal(reader.end(), undefined);
});
