/**
 * The process of a {@linkcode startDelayingLink}: `deno run -A delaying_link_main.ts <round trip, ms> <loss, %>`.
 *
 * One TUN interface that reflects: what is sent to the far address comes back, half a round trip later and with both
 * addresses exchanged, as if the machine itself had been reached from there. Exchanging them leaves every checksum right.
 * Segments pass as the kernel hands them over, up to 64 KiB at once, so that the link has no speed of its own; a link that
 * loses takes single packets. Prints both addresses when it is up, and ends with its standard input.
 */
import { execFileSync } from "node:child_process";
import { loadLibc } from "../../lib/driver/libc.ts";

// Linux, if_tun.h, virtio_net.h, fcntl.h, poll.h.
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const TUNSETIFF = 0x400454can;
const TUNSETOFFLOAD = 0x400454d0n;
const IFF_TUN = 1;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** Unfinished checksums, and segments of both families that are still one. */
const TUN_F_CSUM_TSO = 1n | 2n | 4n;
const POLLIN = 1;
const POLLHUP = 16;
const IFREQ_BYTES = 40;
const NAME_BYTES = 16;
const VNET_HEADER_BYTES = 10;
const IPV4_SOURCE_AT = VNET_HEADER_BYTES + 12;
const ADDRESS_BYTES = 4;
/** Longest thing that is read at once. */
const PACKET_BYTES = VNET_HEADER_BYTES + 65_536;
/** What may be on its way, bytes: 1 GB a second for a tenth of a second, and more. Only what is used of it is memory. */
const RING_BYTES = 192 * 1024 * 1024;
/** Packets taken before those that are due are looked at. */
const BURST = 64;
const MTU = 1500;
const QUEUE_PACKETS = 20_000;

const libc = loadLibc({
  open: { parameters: ["buffer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  ppoll: { parameters: ["buffer", "usize", "buffer", "buffer"], result: "i32" },
});
// An argument that is a number is passed by value: ioctl(2) has both kinds.
const byValue = loadLibc({ ioctl: { parameters: ["i32", "u64", "u64"], result: "i32" } });
if (libc === null || byValue === null) throw new Error("A delaying link needs the C library of Linux");

const [roundTripMs, lossPercent] = Deno.args.map(Number) as [number, number];
const tun = libc.open(new TextEncoder().encode("/dev/net/tun\0"), O_RDWR | O_NONBLOCK);
if (tun < 0) throw new Error('Cannot open "/dev/net/tun"');
const request = new Uint8Array(IFREQ_BYTES);
request.set(new TextEncoder().encode("fslink%d"));
new DataView(request.buffer).setUint16(NAME_BYTES, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, true);
if (libc.ioctl(tun, TUNSETIFF, request) < 0) throw new Error("Cannot make a TUN interface: needs CAP_NET_ADMIN");
const name = new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
if (lossPercent === 0) byValue.ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM_TSO);

// RFC 2544 keeps 198.18.0.0/15 for measurements. The kernel counts the interfaces.
const network = `198.18.${Number(name.replace(/\D/g, "")) % 256}`;
const [near, far] = [`${network}.1`, `${network}.2`];
execFileSync("ip", ["address", "add", near, "peer", far, "dev", name]);
execFileSync("ip", ["link", "set", name, "mtu", String(MTU), "txqueuelen", String(QUEUE_PACKETS), "up"]);
// What the kernel remembers of an earlier link with these addresses would shape the first connections.
execFileSync("ip", ["tcp_metrics", "flush"], { stdio: "ignore" });
console.log(`${near} ${far}`);

const ring = new Uint8Array(RING_BYTES);
interface Packet {
  at: number;
  length: number;
  dueMs: number;
}
const onWay: Packet[] = [];
let first = 0;
let head = 0;
const polled = new DataView(new ArrayBuffer(16));
polled.setInt32(0, tun, true);
polled.setInt32(8, 0, true);
const timeout = new BigInt64Array(2);

/** Where the next packet can lie; `undefined` while the ring is full. */
function place(): number | undefined {
  const tail = onWay[first]?.at;
  if (tail === undefined) return head = 0;
  if (head >= tail) {
    if (head + PACKET_BYTES <= RING_BYTES) return head;
    return PACKET_BYTES < tail ? head = 0 : undefined;
  }
  return head + PACKET_BYTES < tail ? head : undefined;
}

function take(): void {
  for (let count = 0; count < BURST; count++) {
    const at = place();
    if (at === undefined) return;
    const length = Number(libc!.read(tun, ring.subarray(at, at + PACKET_BYTES), BigInt(PACKET_BYTES)));
    if (length <= 0) return;
    if (Math.random() * 100 < lossPercent) continue;
    // Of a family that is not ours: neighbours and routers are asked for even here.
    if (ring[at + VNET_HEADER_BYTES]! >> 4 !== 4) continue;
    const source = at + IPV4_SOURCE_AT;
    const from = ring.slice(source, source + ADDRESS_BYTES);
    ring.copyWithin(source, source + ADDRESS_BYTES, source + 2 * ADDRESS_BYTES);
    ring.set(from, source + ADDRESS_BYTES);
    onWay.push({ at, length, dueMs: performance.now() + roundTripMs / 2 });
    head = at + length;
  }
}

function deliver(): void {
  const nowMs = performance.now();
  for (let packet = onWay[first]; packet !== undefined && packet.dueMs <= nowMs; packet = onWay[++first]) {
    libc!.write(tun, ring.subarray(packet.at, packet.at + packet.length), BigInt(packet.length));
  }
  if (first > 4096 || first === onWay.length) onWay.splice(0, first), first = 0;
}

for (;;) {
  const next = onWay[first];
  const waitMs = next === undefined ? 1000 : Math.max(0, next.dueMs - performance.now());
  timeout[0] = BigInt(Math.floor(waitMs / 1000));
  timeout[1] = BigInt(Math.floor((waitMs % 1000) * 1e6));
  polled.setInt16(4, place() === undefined ? 0 : POLLIN, true);
  polled.setInt16(12, POLLIN, true);
  libc.ppoll(polled.buffer, 2n, timeout, null);
  if ((polled.getInt16(14, true) & (POLLIN | POLLHUP)) !== 0) Deno.exit(0);
  if ((polled.getInt16(6, true) & POLLIN) !== 0) take();
  deliver();
}
