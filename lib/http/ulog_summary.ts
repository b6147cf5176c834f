/** What a ULog says of itself (PX4 User Guide, "ULog File Format"): the vehicle, the software, how long it is. */

/** For people; a field that the log does not tell is absent. */
export interface LogSummary {
  format: "ULog";
  sizeBytes: number;
  durationMs?: number;
  /** Such as "PX4". */
  system?: string;
  /** Such as "PX4_FMU_V5". */
  hardware?: string;
  /** The autopilot's own identity. */
  vehicle?: string;
  software?: string;
  /** Data that the logger lost, milliseconds. */
  dropoutMs?: number;
}

const MAGIC = [0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35];
const HEADER_BYTES = 16;
/** A longer log is not read to its end: its duration is not told. */
const READ_MAX = 64 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
/** No flight is longer, microseconds: a time behind it is damage. */
const FLIGHT_US_MAX = 7n * 86_400_000_000n;

const INFOS: Record<string, "system" | "hardware" | "vehicle" | "software"> = {
  sys_name: "system",
  ver_hw: "hardware",
  sys_uuid: "vehicle",
  ver_sw: "software",
};

/** The summary of a log from its beginning on; `undefined` when it is no ULog. */
export async function summarizeUlog(file: Deno.FsFile, sizeBytes: number): Promise<LogSummary | undefined> {
  const walk = new Walk(sizeBytes);
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let read = 0; read < READ_MAX;) {
    const got = await file.read(chunk);
    if (got === null) return walk.end(true);
    read += got;
    if (!walk.take(chunk.subarray(0, got))) return undefined;
  }
  return walk.end(false);
}

class Walk {
  readonly #summary: LogSummary;
  #rest: Uint8Array = new Uint8Array(0);
  #startUs: bigint | undefined;
  #lastUs: bigint | undefined;
  #dropoutMs = 0;

  constructor(sizeBytes: number) {
    this.#summary = { format: "ULog", sizeBytes };
  }

  /** Takes the next bytes; `false` when this is no ULog. */
  take(bytes: Uint8Array): boolean {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const view = new DataView(all.buffer);
    let at = 0;
    if (this.#startUs === undefined) {
      if (all.length < HEADER_BYTES) {
        this.#rest = all;
        return true;
      }
      if (!MAGIC.every((byte, index) => all[index] === byte)) return false;
      this.#startUs = this.#lastUs = view.getBigUint64(8, true);
      at = HEADER_BYTES;
    }
    while (at + 3 <= all.length) {
      const end = at + 3 + view.getUint16(at, true);
      if (end > all.length) break;
      this.#message(String.fromCharCode(all[at + 2]!), new DataView(all.buffer, at + 3, end - at - 3));
      at = end;
    }
    this.#rest = all.slice(at);
    return true;
  }

  end(isWhole: boolean): LogSummary | undefined {
    if (this.#startUs === undefined) return undefined;
    if (isWhole) this.#summary.durationMs = Number((this.#lastUs! - this.#startUs) / 1000n);
    if (this.#dropoutMs > 0) this.#summary.dropoutMs = this.#dropoutMs;
    return this.#summary;
  }

  #message(type: string, body: DataView): void {
    if (type === "D" && body.byteLength >= 10) this.#time(body.getBigUint64(2, true));
    else if (type === "L" && body.byteLength >= 9) this.#time(body.getBigUint64(1, true));
    else if (type === "O" && body.byteLength >= 2) this.#dropoutMs += body.getUint16(0, true);
    else if (type === "I" && body.byteLength >= 1) this.#info(body);
  }

  #time(us: bigint): void {
    if (us > this.#lastUs! && us - this.#startUs! < FLIGHT_US_MAX) this.#lastUs = us;
  }

  /** "char[10] sys_name", then the value. */
  #info(body: DataView): void {
    const keyLength = body.getUint8(0);
    if (1 + keyLength > body.byteLength) return;
    const text = (from: number, to: number) =>
      new TextDecoder().decode(new Uint8Array(body.buffer, body.byteOffset + from, to - from));
    const [type, name] = text(1, 1 + keyLength).split(" ");
    const field = type?.startsWith("char[") ? INFOS[name ?? ""] : undefined;
    if (field !== undefined) {
      this.#summary[field] = text(1 + keyLength, body.byteLength).replaceAll("\0", "").slice(0, 100);
    }
  }
}
