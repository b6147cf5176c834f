/** How many bytes of a file one packet is asked to carry. */
import { DATA_BYTES_MAX } from "./ftp_codec.ts";
import type { ServerTraits } from "./traits.ts";

/** Of a frame with data, bytes: MAVLink 2, the address and the header of MAVLink FTP. */
const FRAME_BYTES = 27;
/** Smaller packets are mostly frame. */
const CHUNK_BYTES_MIN = 24;
/** A burst lasts as long as was reckoned, or a little longer. */
const CAUTION = 0.9;
/** Two frames of a telemetry radio's air, of 252 bytes each, carry three such packets or two of twice the size. */
const RADIO_CHUNK_BYTES = 110;
/** One packet that fills a frame of the air: where too few requests may be under way for small ones. */
const RADIO_FRAME_CHUNK_BYTES = 252 - FRAME_BYTES;
/** So many small reads keep a radio's air busy. */
const RADIO_READS_MIN = 8;

/** For reads over a telemetry radio. */
export function radioChunk({ windowMax }: ServerTraits): number {
  return windowMax < RADIO_READS_MIN ? RADIO_FRAME_CHUNK_BYTES : RADIO_CHUNK_BYTES;
}

/**
 * For bursts of which nothing stops one: such a burst has a number of packets, so with smaller ones it is over soon
 * enough after the vehicle was armed. `undefined` where reads bring more than that.
 * @param restBytes what is left of the file
 * @param bytesPerMs how fast data came in a burst of full packets
 */
export function boundedChunk(
  traits: ServerTraits,
  restBytes: number,
  bytesPerMs: number,
  roundTripMs: number,
): number | undefined {
  const { unstoppableBytes, burstMsMax, windowMax } = traits;
  if (Math.min(unstoppableBytes, restBytes) <= bytesPerMs * burstMsMax) return DATA_BYTES_MAX;
  const fullBytes = DATA_BYTES_MAX + FRAME_BYTES;
  const wireBytesPerMs = bytesPerMs * fullBytes / DATA_BYTES_MAX;
  const packets = unstoppableBytes / DATA_BYTES_MAX;
  const chunk = Math.floor(wireBytesPerMs * burstMsMax * CAUTION / packets) - FRAME_BYTES;
  if (chunk < CHUNK_BYTES_MIN) return undefined;
  const byBursts = wireBytesPerMs * chunk / (chunk + FRAME_BYTES);
  const byReads = windowMax * DATA_BYTES_MAX / (roundTripMs + windowMax * fullBytes / wireBytesPerMs);
  return byBursts > byReads ? chunk : undefined;
}
