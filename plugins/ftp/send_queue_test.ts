// Goal: a link that takes nothing more does not let an upload run ahead. Method: a peer that never reads.
import assert from "node:assert/strict";
import { boundSendQueue } from "./send_queue.ts";

/** Bytes that can be written to a peer that reads nothing. */
async function takenBytes(prepare: (conn: Deno.TcpConn) => void): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using _peer = await listener.accept();
  prepare(conn);
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

Deno.test({
  name: "boundSendQueue() makes writes wait although the kernel would take megabytes",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const freeBytes = await takenBytes(() => {});
    const boundBytes = await takenBytes((conn) => assert.ok(boundSendQueue(conn)));
    assert.ok(freeBytes - boundBytes > 1_000_000, `${boundBytes} of ${freeBytes}`);
  },
});
