/**
 * A download that is slowed by its limit lets the kernel read ahead of it (1.5 MB at 6 MB/s on loopback): those bytes have
 * crossed the link, are lost with a driver that is killed, and are fetched again. So while it is slowed the kernel takes
 * no more than the limit needs on this link: what moves in two round trips. A download that is not slowed reads as fast as
 * the kernel does, and a long fast link needs all that the kernel gives.
 */
import { TcpSocket } from "./tcp_socket.ts";

/** How long the pace is measured before the bound follows it, milliseconds. */
const MEASURE_MS = 250;
/** Least bound, bytes: what the limit lets through in a round trip of 64 ms at 1 MB/s. */
const LEAST_BYTES = 64 * 1024;
/** A wait that counts; a call that is not slowed takes less, milliseconds. */
const SLOWED_MS = 1;

/** Follows one download. */
export class ReadAhead {
  readonly #conn: Deno.TcpConn;
  #socket: TcpSocket | undefined;
  #boundBytes: number | undefined;
  #sinceMs = performance.now();
  #bytes = 0;
  #isSlowed = false;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** Told before the first byte that there is a limit: what it lets through at once would let the kernel take far more. */
  begin(bytesPerSecond: number): void {
    this.#bound(bytesPerSecond / 1000);
  }

  /**
   * Told of each piece.
   * @param waitedMs how long its limit held it up
   */
  note(bytes: number, waitedMs: number): void {
    this.#bytes += bytes;
    this.#isSlowed ||= waitedMs >= SLOWED_MS;
    if (!this.#isSlowed && this.#boundBytes === undefined) return;
    const nowMs = performance.now();
    const tookMs = nowMs - this.#sinceMs;
    if (tookMs < MEASURE_MS && this.#boundBytes !== undefined) return;
    this.#bound(this.#isSlowed ? this.#bytes / tookMs : undefined);
    this.#sinceMs = nowMs;
    this.#bytes = 0;
    this.#isSlowed = false;
  }

  #bound(bytesPerMs: number | undefined): void {
    this.#socket ??= TcpSocket.of(this.#conn);
    const roundTripMs = this.#socket?.roundTripMs;
    if (this.#socket === undefined || roundTripMs === undefined) return;
    const boundBytes = bytesPerMs === undefined
      ? undefined
      : Math.max(LEAST_BYTES, Math.ceil(2 * roundTripMs * bytesPerMs));
    const isNear = boundBytes !== undefined && this.#boundBytes !== undefined &&
      Math.abs(boundBytes - this.#boundBytes) < this.#boundBytes / 4;
    if (isNear || boundBytes === this.#boundBytes) return;
    if (this.#socket.boundUnread(boundBytes)) this.#boundBytes = boundBytes;
  }
}
