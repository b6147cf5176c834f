import assert from "node:assert/strict";
import { retryAfterMs, wordsOfBody } from "./words.ts";

Deno.test("retryAfterMs() takes seconds and dates, and no more than an hour", () => {
  assert.equal(retryAfterMs("5", 0), 5000);
  assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:01:00 GMT", 0), 60_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2099 00:01:00 GMT", 0), undefined);
  assert.equal(retryAfterMs("soon", 0), undefined);
  assert.equal(retryAfterMs(undefined, 0), undefined);
});

Deno.test("wordsOfBody() finds the words in a page, in an error of sabre/dav, and in plain text", () => {
  assert.equal(
    wordsOfBody("<html><head><title>Airport WiFi</title></head><body>Log in</body></html>"),
    '"Airport WiFi"',
  );
  const sabre =
    '<?xml version="1.0"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns"><s:message>Locked</s:message></d:error>';
  assert.equal(wordsOfBody(sabre), '"Locked"');
  assert.equal(wordsOfBody("disk\r\nfull \u001b[31m"), '"disk full [31m"');
  assert.equal(wordsOfBody("<p></p>"), "no words");
  const flightReview = "\n<html><title>Error 400</title>\n<body>HTTP Error 400: Invalid File</body>\n</html>\n";
  assert.equal(wordsOfBody(flightReview), '"HTTP Error 400: Invalid File"');
});
