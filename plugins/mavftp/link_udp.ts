/**
 * UDP, both ways: `udp://` waits where vehicles send to, `udpout://` sends first. On Deno's own sockets, which read
 * into one buffer: `node:dgram` makes one of 64 KiB for each packet, which costs 120 MB and twice the processor time.
 */
import type { UdpUrl } from "./config.ts";
import { type Link, linkError, type LinkEvents } from "./link.ts";

/** Senders that are remembered at most. */
const PEERS_MAX = 16;
/** The longest datagram there is. */
const DATAGRAM_BYTES_MAX = 65_536;
/** Packets that wait for the system to take them; more are lost, as on any network. */
const SENDING_MAX = 256;

export async function openUdp(url: UdpUrl, { onBytes, onClosed }: LinkEvents): Promise<Link> {
  const { kind, host, port } = url;
  const any = host.includes(":") ? "::" : "0.0.0.0";
  let socket: Deno.DatagramConn;
  const peers = new Map<string, Deno.NetAddr>();
  const bySystem = new Map<number, Deno.NetAddr>();
  try {
    socket = kind === "udp"
      ? Deno.listenDatagram({ transport: "udp", hostname: host, port })
      : Deno.listenDatagram({ transport: "udp", hostname: any, port: 0 });
    if (kind === "udpout") {
      const [address] = /^[0-9.]+$|:/.test(host) ? [host] : await Deno.resolveDns(host, "A");
      peers.set("", { transport: "udp", hostname: address ?? host, port });
    }
  } catch (error) {
    throw linkError(kind === "udp" ? `listen on UDP ${host}:${port}` : `send to UDP ${host}:${port}`, error);
  }
  let isOpen = true;
  let sendingCount = 0;

  function hear(peer: Deno.NetAddr, bytes: Uint8Array): void {
    if (kind === "udpout") return;
    const systemId = bytes[0] === 0xfd ? bytes[5] : bytes[0] === 0xfe ? bytes[3] : undefined;
    if (systemId === undefined) return;
    const key = `${peer.hostname} ${peer.port}`;
    if (!peers.has(key)) {
      const oldest = peers.size >= PEERS_MAX ? peers.keys().next().value : undefined;
      if (oldest !== undefined) peers.delete(oldest);
      peers.set(key, peer);
    }
    bySystem.set(systemId, peer);
  }

  async function receive(): Promise<void> {
    const buffer = new Uint8Array(DATAGRAM_BYTES_MAX);
    while (isOpen) {
      try {
        const [bytes, from] = await socket.receive(buffer);
        hear(from as Deno.NetAddr, bytes);
        onBytes(bytes);
      } catch (error) {
        if (!isOpen) return;
        // Nobody listens there yet, or no more.
        if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset) continue;
        isOpen = false;
        socket.close();
        onClosed(linkError(`receive on ${url.text}`, error));
      }
    }
  }

  const receiving = receive();
  return {
    name: url.text,
    isOrdered: false,
    isDatagram: true,
    isUart: false,
    send(frame, systemId) {
      const known = systemId === undefined ? undefined : bySystem.get(systemId);
      for (const peer of known === undefined ? peers.values() : [known]) {
        if (!isOpen || sendingCount >= SENDING_MAX) return;
        sendingCount++;
        socket.send(frame, peer).catch(() => {
          // What cannot be sent now is lost like any datagram.
        }).finally(() => sendingCount--);
      }
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      socket.close();
      await receiving;
    },
  };
}
