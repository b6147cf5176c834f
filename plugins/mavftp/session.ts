/**
 * Opening and ending of files on the autopilot, with manners: one session at a time, ended on every way out, and
 * another ground station's left alone.
 */
import { DriverError } from "../../lib/driver/mod.ts";
import { isNak, SEQ_JUMP } from "./channel.ts";
import { sleep } from "./clock.ts";
import { dataU32, type FtpReply, NAK, nakCode, nakWords, OPCODE } from "./ftp_codec.ts";
import { AUTOPILOT } from "./messages.ts";
import type { Station } from "./station.ts";

/**
 * Waits for another ground station's session, milliseconds. PX4 ends an idle one after 10 s, newer firmware after 30 s,
 * and each of our tries counts as use: so two waits are longer than that.
 */
const BUSY_WAITS_MS = [1000, 3000, 11_000, 32_000];
/** ArduPilot before 4.7 refuses to open a file while its last one was used less than 3 s ago. */
const ARDUPILOT_IDLE_MS = 3200;

/** A file that no card has. */
const NOWHERE = new TextEncoder().encode("/filesync/is/not/here");

/** Where a session that is open is noted, so that the next process can end it. */
export interface SessionJournal {
  readonly session: { systemId: number; session: number } | undefined;
  setSession(session: { systemId: number; session: number } | undefined): void;
}

export interface OpenFile {
  session: number;
  sizeBytes: number;
  /** Number of the answer: packets that are not newer belong to another file. */
  sinceSeq: number;
}

export interface OpenOptions {
  signal?: AbortSignal | undefined;
  /** End another ground station's session when it does not end by itself. */
  takeover: boolean;
  /** Called while another's session is waited for. */
  onWait?: (waitMs: number) => void;
}

export class FtpSession {
  readonly #station: Station;
  readonly #journal: SessionJournal;
  #open: OpenFile | undefined;

  constructor(station: Station, journal: SessionJournal) {
    this.#station = station;
    this.#journal = journal;
  }

  /** Opens `path` (bytes as they are on the autopilot) for reading. */
  async open(path: Uint8Array, options: OpenOptions): Promise<OpenFile> {
    const { channel } = this.#station;
    const { signal } = options;
    if (this.#open !== undefined) await this.close();
    // An opening or an ending whose answer never came, because the vehicle was armed, the link broke or a process died.
    let leftOver = this.#leftOver;
    // Far beyond all that may still be under way of the last file.
    channel.skip(SEQ_JUMP);
    let failures = 0;
    for (let waits = 0;;) {
      this.#note(0);
      const reply = await channel.ask({ opcode: OPCODE.OPEN, data: path }, { keepSeq: true, signal });
      if (reply.isAck) return this.#opened(reply);
      const code = nakCode(reply);
      const isBusy = code === NAK.NO_SESSIONS || (code === NAK.SESSION && waits < BUSY_WAITS_MS.length) ||
        (code === NAK.FAIL && await this.#isTaken(signal));
      if (isBusy) {
        if (leftOver !== undefined) {
          await channel.ask({ opcode: OPCODE.TERMINATE, session: leftOver.session }, { tries: 4, signal });
          leftOver = undefined;
          continue;
        }
        // Nothing of ours is open: what is, is another's, and never ended by us.
        this.#journal.setSession(undefined);
        if (waits === BUSY_WAITS_MS.length) {
          if (!options.takeover) throw busy();
          await channel.ask({ opcode: OPCODE.RESET }, { signal });
          waits++;
          continue;
        }
        if (waits > BUSY_WAITS_MS.length) throw busy();
        const waitMs = BUSY_WAITS_MS[waits++]!;
        options.onWait?.(waitMs);
        await this.#rest(waitMs, signal);
        continue;
      }
      if (code === NAK.FAIL && failures++ === 0) {
        options.onWait?.(ARDUPILOT_IDLE_MS);
        await this.#rest(ARDUPILOT_IDLE_MS, signal);
        continue;
      }
      this.#journal.setSession(undefined);
      throw refusal(reply);
    }
  }

  /**
   * Whether a failure to open is one of the session: ArduPilot before 4.7 answers so while another station's file is open
   * under the same id, and looks at the session before it looks for the file.
   */
  async #isTaken(signal: AbortSignal | undefined): Promise<boolean> {
    const { channel, vehicle } = this.#station;
    if (vehicle?.autopilot !== AUTOPILOT.ARDUPILOT) return false;
    const reply = await channel.ask({ opcode: OPCODE.OPEN, data: NOWHERE }, { keepSeq: true, signal });
    if (reply.isAck) await channel.ask({ opcode: OPCODE.TERMINATE, session: reply.session }, { tries: 4, signal });
    return isNak(reply, NAK.FAIL);
  }

  /** Ends the session. What cannot be said to an armed vehicle is left to the server, which ends it when it is idle. */
  async close(signal?: AbortSignal): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.#station.setFarewell(undefined);
    if (open === undefined) return;
    try {
      const { channel } = this.#station;
      await channel.ask({ opcode: OPCODE.TERMINATE, session: open.session }, { tries: 4, signal });
      this.#journal.setSession(undefined);
    } catch {
      // The journal still knows it: the next opening ends it if the server has not.
    }
  }

  /** The server ended it: there is nothing to close. */
  forget(): void {
    this.#open = undefined;
    this.#station.setFarewell(undefined);
    this.#journal.setSession(undefined);
  }

  #opened(reply: FtpReply): OpenFile {
    const sizeBytes = dataU32(reply);
    if (sizeBytes === undefined) {
      throw new DriverError("failed", "Autopilot opened the file without telling its size");
    }
    this.#open = { session: reply.session, sizeBytes, sinceSeq: reply.seq };
    this.#note(reply.session);
    this.#station.setFarewell(reply.session);
    return this.#open;
  }

  #note(session: number): void {
    const systemId = this.#station.vehicle?.systemId ?? 0;
    const noted = this.#journal.session;
    if (noted?.systemId === systemId && noted.session === session) return;
    this.#journal.setSession({ systemId, session });
  }

  /** The session of ours that may still be open on this vehicle. */
  get #leftOver(): SessionJournal["session"] {
    const { session } = this.#journal;
    return session?.systemId === this.#station.vehicle?.systemId ? session : undefined;
  }

  async #rest(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    await sleep(this.#station.clock, waitMs, signal);
    if (!this.#station.gate.isOpen) throw this.#station.reason;
  }
}

function busy(): DriverError {
  return new DriverError("held", "Another ground station uses the autopilot's only file transfer session", {
    retryAfterMs: 30_000,
    hint: 'Close its log download, or set "takeover" to true',
  });
}

/** A NAK to a request about one file, as the contract's error. */
export function refusal(reply: FtpReply): DriverError {
  const words = `Autopilot answers: ${nakWords(reply)}`;
  if (isNak(reply, NAK.NOT_FOUND)) return new DriverError("not_found", words);
  if (isNak(reply, NAK.PROTECTED)) return new DriverError("denied", words, { scope: "file" });
  if (isNak(reply, NAK.UNKNOWN)) return new DriverError("unsupported", words);
  return new DriverError("failed", words);
}
