/** TCP, such as to mavlink-router: a stream that keeps its order. */
import { DriverError } from "../../lib/driver/mod.ts";
import type { TcpUrl } from "./config.ts";
import { type Link, linkError, type LinkEvents } from "./link.ts";

const CONNECT_MS = 5000;
/** Waiting for a peer that does not take what we send, bytes: then requests are dropped as a radio would. */
const SEND_BYTES_MAX = 64 * 1024;

export async function openTcp(url: TcpUrl, { onBytes, onClosed }: LinkEvents): Promise<Link> {
  const { host, port } = url;
  const action = `connect to TCP ${host}:${port}`;
  let connection: Deno.TcpConn;
  try {
    connection = await Deno.connect({ hostname: host, port, signal: AbortSignal.timeout(CONNECT_MS) });
  } catch (error) {
    throw linkError(action, error);
  }
  connection.setNoDelay(true);
  let isOpen = true;
  let waitingBytes = 0;
  let sending = Promise.resolve();

  function lose(error: DriverError): void {
    if (!isOpen) return;
    isOpen = false;
    connection.close();
    onClosed(error);
  }

  async function receive(): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) return lose(new DriverError("unavailable", `TCP ${host}:${port} closed the connection`));
      onBytes(buffer.subarray(0, count));
    }
  }

  const receiving = receive().catch((error) => lose(linkError(`read from TCP ${host}:${port}`, error)));
  return {
    name: url.text,
    isOrdered: true,
    isDatagram: false,
    isUart: false,
    send(frame) {
      if (!isOpen || waitingBytes > SEND_BYTES_MAX) return;
      waitingBytes += frame.length;
      sending = sending.then(async () => {
        for (let at = 0; at < frame.length && isOpen;) at += await connection.write(frame.subarray(at));
        waitingBytes -= frame.length;
      }).catch((error) => lose(linkError(`write to TCP ${host}:${port}`, error)));
    },
    async close() {
      if (isOpen) {
        isOpen = false;
        connection.close();
      }
      await receiving;
    },
  };
}
