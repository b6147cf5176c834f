/**
 * Looks whether a finished log is whole in itself: walks the messages of ULog and DataFlash. Says nothing of the
 * transfer, which is proven elsewhere: a log that the autopilot could not close ends in the middle, and is delivered so.
 */

/** What is known of a log's structure. */
export interface StructureFinding {
  format: "ULog" | "DataFlash";
  /** What is wrong, in words; absent when nothing is. */
  problem?: string;
}

const ULOG_MAGIC = [0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35];
const ULOG_HEAD_BYTES = 16;
const ULOG_MESSAGE_HEAD_BYTES = 3;
/** Message types of ULog that exist. */
const ULOG_TYPES = new Set([..."BFIMPQARDLCSO"].map((letter) => letter.charCodeAt(0)));
const DATAFLASH_HEAD = [0xa3, 0x95];
const DATAFLASH_FMT = 0x80;
const DATAFLASH_FMT_BYTES = 89;

/** What a file of this name should be; `undefined` for one that is no log by its name. */
function formatOf(name: string): StructureFinding["format"] | undefined {
  if (/\.ulg$/i.test(name)) return "ULog";
  return /(^|\/)\d{8}\.bin$/i.test(name) ? "DataFlash" : undefined;
}

/** Walks a log whose bytes come in order. */
export class StructureCheck {
  readonly #named: StructureFinding["format"] | undefined;
  #format: StructureFinding["format"] | undefined;
  #known = false;
  #problem: string | undefined;
  /** Bytes from the last message's beginning that are there. */
  #rest = new Uint8Array(0);
  /** Where `#rest` begins. */
  #atBytes = 0;
  /** Bytes of the message under way that only have to be passed. */
  #skipBytes = 0;
  readonly #lengths = new Map<number, number>([[DATAFLASH_FMT, DATAFLASH_FMT_BYTES]]);

  /** @param name of the file, which tells what it should be */
  constructor(name: string) {
    this.#named = formatOf(name);
  }

  /** Takes the next bytes. */
  push(bytes: Uint8Array): void {
    if (this.#problem !== undefined || (this.#known && this.#format === undefined)) return;
    let from = 0;
    if (this.#skipBytes > 0) {
      from = Math.min(this.#skipBytes, bytes.length);
      this.#skipBytes -= from;
      this.#atBytes += from;
      if (from === bytes.length) return;
    }
    const fresh = bytes.subarray(from);
    let all = fresh;
    if (this.#rest.length > 0) {
      all = new Uint8Array(this.#rest.length + fresh.length);
      all.set(this.#rest);
      all.set(fresh, this.#rest.length);
    }
    let at = 0;
    if (!this.#known) {
      if (all.length < ULOG_HEAD_BYTES) {
        this.#rest = all.slice();
        return;
      }
      this.#known = true;
      if (startsWith(all, ULOG_MAGIC)) {
        this.#format = "ULog";
        at = ULOG_HEAD_BYTES;
      } else if (startsWith(all, DATAFLASH_HEAD)) {
        this.#format = "DataFlash";
      } else return;
    }
    const step = this.#format === "ULog" ? this.#ulogMessage : this.#dataflashMessage;
    while (at < all.length) {
      const length = step.call(this, all, at);
      if (length === undefined) break;
      if (this.#problem !== undefined) return;
      if (at + length > all.length) {
        this.#skipBytes = at + length - all.length;
        at = all.length;
      } else at += length;
    }
    this.#atBytes += at;
    this.#rest = all.slice(at);
  }

  /** The verdict when all bytes came; `undefined` for a file that is no log. */
  finish(): StructureFinding | undefined {
    const format = this.#format;
    if (format === undefined) {
      const named = this.#named;
      if (named === undefined) return undefined;
      if (this.#known) return { format: named, problem: "it does not begin like one" };
      // Power was cut soon after the log was begun.
      return {
        format: named,
        problem: this.#rest.length === 0 ? "it is empty" : "it ends in the middle of its header",
      };
    }
    if (this.#problem !== undefined) return { format, problem: this.#problem };
    if (this.#skipBytes > 0 || this.#rest.length > 0) {
      return { format, problem: "it ends in the middle of a message" };
    }
    return { format };
  }

  #ulogMessage(bytes: Uint8Array, at: number): number | undefined {
    if (bytes.length - at < ULOG_MESSAGE_HEAD_BYTES) return undefined;
    const type = bytes[at + 2]!;
    if (!ULOG_TYPES.has(type)) {
      this.#problem = `byte ${this.#atBytes + at} begins no ULog message`;
      return 0;
    }
    return ULOG_MESSAGE_HEAD_BYTES + bytes[at]! + (bytes[at + 1]! << 8);
  }

  #dataflashMessage(bytes: Uint8Array, at: number): number | undefined {
    if (bytes.length - at < 3) return undefined;
    const length = this.#lengths.get(bytes[at + 2]!);
    if (bytes[at] !== DATAFLASH_HEAD[0] || bytes[at + 1] !== DATAFLASH_HEAD[1] || length === undefined) {
      this.#problem = `byte ${this.#atBytes + at} begins no DataFlash message`;
      return 0;
    }
    if (bytes[at + 2] === DATAFLASH_FMT) {
      if (bytes.length - at < 5) return undefined;
      // A format tells the length of the messages of its type.
      if (bytes[at + 4]! >= 3) this.#lengths.set(bytes[at + 3]!, bytes[at + 4]!);
    }
    return length;
  }
}

function startsWith(bytes: Uint8Array, head: readonly number[]): boolean {
  return head.every((byte, index) => bytes[index] === byte);
}
