// Goal: neither side's kernel runs ahead of a link or of a reader. Method: a peer that never reads, one that always writes.
import assert from "node:assert/strict";
import { TcpSocket } from "./tcp_socket.ts";

interface Pair extends Disposable {
  ours: Deno.TcpConn;
  peer: Deno.TcpConn;
}

async function connected(): Promise<Pair> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ours = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const peer = await listener.accept();
  return {
    ours,
    peer,
    [Symbol.dispose]: () => {
      for (const conn of [ours, peer]) {
        try {
          conn.close();
        } catch {
          // Closed by the test.
        }
      }
    },
  };
}

/** Bytes that can be written to a peer that reads nothing. */
async function takenBytes(conn: Deno.TcpConn): Promise<number> {
  let takenBytes = 0;
  let lastMs = performance.now();
  const writing = (async () => {
    const bytes = new Uint8Array(64 * 1024);
    for (;;) {
      takenBytes += await conn.write(bytes);
      lastMs = performance.now();
    }
  })().catch(() => {});
  while (performance.now() - lastMs < 500) await new Promise((resolve) => setTimeout(resolve, 20));
  conn.close();
  await writing;
  return takenBytes;
}

function linuxTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: Deno.build.os !== "linux", fn });
}

linuxTest("TcpSocket.boundUnsent() makes writes wait although the kernel would take megabytes", async () => {
  using free = await connected();
  const freeBytes = await takenBytes(free.ours);
  using bound = await connected();
  assert.ok(TcpSocket.of(bound.ours)!.boundUnsent());
  const boundBytes = await takenBytes(bound.ours);
  assert.ok(freeBytes - boundBytes > 1_000_000, `${boundBytes} of ${freeBytes}`);
});

linuxTest("TcpSocket.boundUnread() bounds what a peer can send ahead of the reader, until it is lifted", async () => {
  const BOUND_BYTES = 64 * 1024;
  using pair = await connected();
  const socket = TcpSocket.of(pair.ours)!;
  assert.ok(socket.boundUnread(BOUND_BYTES));
  TcpSocket.of(pair.peer)!.boundUnsent();
  const boundBytes = await takenBytes(pair.peer);
  // What the peer's own kernel holds of it is bounded, too.
  assert.ok(boundBytes <= 5 * BOUND_BYTES, `${boundBytes}`);
  assert.ok(socket.boundUnread(undefined));
});

linuxTest("TcpSocket.ackedBytes is what the peer's system took, also when the connection was reset", async () => {
  using pair = await connected();
  const socket = TcpSocket.of(pair.ours)!;
  const before = socket.ackedBytes!;
  const bytes = new Uint8Array(100_000);
  let sentBytes = 0;
  while (sentBytes < bytes.length) sentBytes += await pair.ours.write(bytes.subarray(sentBytes));
  const takeBytes = 100_000;
  for (let left = takeBytes; left > 0;) left -= await pair.peer.read(new Uint8Array(left)) ?? left;
  while (socket.ackedBytes! - before < takeBytes) await new Promise((resolve) => setTimeout(resolve, 5));
  await pair.ours.write(new Uint8Array(10));
  await pair.peer.read(new Uint8Array(1));
  // Closed with bytes that nobody read: a reset.
  pair.peer.close();
  await assert.rejects(async () => {
    for (;;) await pair.ours.write(bytes);
  });
  const ackedBytes = socket.ackedBytes! - before;
  assert.ok(ackedBytes >= takeBytes && ackedBytes <= takeBytes + 10, `${ackedBytes}`);
  assert.ok(socket.roundTripMs! < 1000);
});

linuxTest("TcpSocket tells nothing of a connection that is closed", async () => {
  using pair = await connected();
  const socket = TcpSocket.of(pair.ours)!;
  pair.ours.close();
  assert.equal(socket.ackedBytes, undefined);
  assert.equal(socket.boundUnsent(), false);
});
