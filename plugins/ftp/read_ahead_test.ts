// Goal: what a killed driver would lose of a download that its limit slows stays small. Method: a peer that always writes,
// a reader that rests after each piece, and the kernel's own count of what lies unread.
import assert from "node:assert/strict";
import { SocketQueue } from "../../tests/support/socket_queue.ts";
import { ReadAhead } from "./read_ahead.ts";

const PIECE_BYTES = 256 * 1024;
const PIECES = 40;
const REST_MS = 40;

/** What lies unread at the end, after reading with rests. */
async function unreadBytes(note: (conn: Deno.TcpConn) => (bytes: number, waitedMs: number) => void): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const peer = await listener.accept();
  const writing = (async () => {
    const bytes = new Uint8Array(256 * 1024);
    for (;;) await peer.write(bytes);
  })().catch(() => {});
  const tell = note(conn);
  const into = new Uint8Array(PIECE_BYTES);
  for (let piece = 0; piece < PIECES; piece++) {
    const count = (await conn.read(into))!;
    const startMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    tell(count, performance.now() - startMs);
  }
  const bytes = new SocketQueue(conn.localAddr.port, conn.remoteAddr.port).unreadBytes;
  peer.close();
  await writing;
  return bytes;
}

Deno.test({
  name: "ReadAhead keeps the kernel from reading ahead of a slowed download",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const freeBytes = await unreadBytes(() => () => {});
    const boundBytes = await unreadBytes((conn) => {
      const ahead = new ReadAhead(conn);
      return (bytes, waitedMs) => ahead.note(bytes, waitedMs);
    });
    assert.ok(boundBytes <= 192 * 1024, `${boundBytes} of ${freeBytes}`);
    assert.ok(freeBytes > boundBytes, `${boundBytes} of ${freeBytes}`);
  },
});

Deno.test({
  name: "ReadAhead keeps the kernel from reading ahead of what a limit lets through at once",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    const peer = await listener.accept();
    new ReadAhead(conn).begin(5 * 1024 * 1024);
    const bytes = new Uint8Array(PIECE_BYTES);
    const writing = (async () => {
      for (;;) await peer.write(bytes);
    })().catch(() => {});
    const into = new Uint8Array(PIECE_BYTES);
    for (let readBytes = 0; readBytes < 16 * PIECE_BYTES;) readBytes += (await conn.read(into))!;
    await new Promise((resolve) => setTimeout(resolve, 100));
    const unread = new SocketQueue(conn.localAddr.port, conn.remoteAddr.port).unreadBytes;
    peer.close();
    await writing;
    assert.ok(unread <= 192 * 1024, `${unread}`);
  },
});
