import assert from "node:assert/strict";
import { Pieces } from "./pieces.ts";

const LEAST_BYTES = 192 * 1024;

/** Fetches at `bytesPerMs` over a link with this round trip and bandwidth; the pace that came of it, bytes a millisecond. */
function fly(pieces: Pieces, link: { roundTripMs: number; bytesPerMs: number }, limit: number, bytes: number): number {
  let tookMs = 0;
  for (let done = 0; done < bytes;) {
    const piece = pieces.bytes;
    const movedMs = link.roundTripMs + piece / link.bytesPerMs;
    const waitedMs = Math.max(0, piece / limit - movedMs);
    pieces.note({ bytes: piece, answerMs: link.roundTripMs, waitedMs, tookMs: movedMs + waitedMs });
    tookMs += movedMs + waitedMs;
    done += piece;
  }
  return bytes / tookMs;
}

Deno.test("Pieces stay small on a near server, however slow the limit", () => {
  for (const limit of [10, 1000, 12_000]) {
    const pieces = new Pieces();
    fly(pieces, { roundTripMs: 1, bytesPerMs: 100_000 }, limit, 100e6);
    assert.equal(pieces.bytes, LEAST_BYTES);
  }
});

Deno.test("Pieces keep the pace of the limit over a long link", () => {
  for (const roundTripMs of [20, 100, 600]) {
    const pace = fly(new Pieces(), { roundTripMs, bytesPerMs: 10_000 }, 3000, 500e6);
    assert.ok(pace > 3000 * 0.9, `${pace} bytes/ms at ${roundTripMs} ms`);
  }
});

Deno.test("Pieces that no limit slows grow until round trips cost nothing", () => {
  const pace = fly(new Pieces(), { roundTripMs: 100, bytesPerMs: 10_000 }, 1e9, 2000e6);
  assert.ok(pace > 10_000 * 0.9, `${pace} bytes/ms`);
});

Deno.test("Pieces do not take a server that was busy once for a long link", () => {
  const pieces = new Pieces();
  pieces.note({ bytes: LEAST_BYTES, answerMs: 1, waitedMs: 60, tookMs: 62 });
  pieces.note({ bytes: LEAST_BYTES, answerMs: 3000, waitedMs: 300, tookMs: 3300 });
  assert.equal(pieces.bytes, LEAST_BYTES);
});
