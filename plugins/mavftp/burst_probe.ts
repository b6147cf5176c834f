/**
 * How fast an autopilot sends a burst that nothing can stop: measured at the end of the file, where a burst is over
 * after a few packets. Without it the first burst over a slow link could go on for minutes after the vehicle was armed.
 */
import { type FtpChannel, SEQ_JUMP } from "./channel.ts";
import { sleep } from "./clock.ts";
import { addSeq, DATA_BYTES_MAX, type FtpReply, NAK, nakCode, OPCODE, seqDistance } from "./ftp_codec.ts";
import type { ServerTraits } from "./traits.ts";

/** Packets of the burst that is measured. */
const PROBE_PACKETS = 16;
/** Bytes that are read for it. */
export const PROBE_BYTES = PROBE_PACKETS * DATA_BYTES_MAX;
/** Fewer packets say nothing. */
const PACKETS_MIN = 8;
const TRIES = 3;
/** The probe never lasts longer, milliseconds. */
const PROBE_MS_MAX = 4000;

export interface ProbeOptions {
  channel: FtpChannel;
  session: number;
  /** Of the open file: more than {@linkcode PROBE_BYTES}. */
  sizeBytes: number;
  traits: ServerTraits;
  signal: AbortSignal;
}

/** Bytes a millisecond of a burst; `undefined` when too little came to tell. */
export async function burstRate(options: ProbeOptions): Promise<number | undefined> {
  for (let tries = 0; tries < TRIES; tries++) {
    const rate = await measure(options);
    if (rate !== undefined) return rate;
  }
  return undefined;
}

async function measure({ channel, session, sizeBytes, traits, signal }: ProbeOptions): Promise<number | undefined> {
  const start = sizeBytes - PROBE_BYTES;
  const { clock } = channel;
  const over = new AbortController();
  const stop = () => over.abort();
  signal.addEventListener("abort", stop, { once: true });
  const startMs = clock.nowMs();
  let seq = 0;
  let firstMs = 0;
  let lastMs = 0;
  let firstEnd = 0;
  let lastEnd = 0;
  let packets = 0;
  channel.onData = (reply: FtpReply) => {
    if (reply.requestOpcode !== OPCODE.BURST || seqDistance(reply.seq, seq) <= 0) return;
    if (!reply.isAck) {
      if (nakCode(reply) === NAK.EOF || packets === 0) stop();
      return;
    }
    if (reply.offset < start || reply.data.length === 0) return;
    const end = reply.offset + reply.data.length;
    lastMs = clock.nowMs();
    if (packets++ === 0) {
      [firstMs, firstEnd] = [lastMs, end];
      // The first measure of the way: opening a file takes as long as the card does.
      if (reply.seq === addSeq(seq, 1)) channel.rtt.sample(lastMs - startMs);
    }
    lastEnd = Math.max(lastEnd, end);
    if (end >= sizeBytes) stop();
  };
  try {
    seq = channel.post({ opcode: OPCODE.BURST, session, offset: start, size: DATA_BYTES_MAX }, 1);
    for (let seen = -1; seen !== packets;) {
      seen = packets;
      const silenceMs = Math.max(traits.silenceMinMs, channel.rtt.rtoMs, lastMs - firstMs);
      const leftMs = PROBE_MS_MAX - (clock.nowMs() - startMs);
      if (leftMs <= 0) break;
      await sleep(clock, Math.min(silenceMs, leftMs), over.signal);
    }
  } catch (error) {
    if (!over.signal.aborted) throw error;
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", stop);
    channel.onData = undefined;
    // Its last words may still be under way.
    channel.skip(SEQ_JUMP);
  }
  if (packets < PACKETS_MIN) return undefined;
  // What came in one piece took no time that can be seen.
  return (lastEnd - firstEnd) / Math.max(1, lastMs - firstMs);
}
