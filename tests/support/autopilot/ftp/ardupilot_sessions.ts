/** Which session of ArduPilot's server a request belongs to, in its old form (one) and in its new one (five, by asker). */
import { ERRORS, type FtpPacket, opcodeName } from "../wire/ftp.ts";
import type { Address, FtpHost, OpenFile } from "./server.ts";

/** A session that was idle for so long may be taken. */
export const TAKEN_AFTER_MS = 3000;

export interface Session {
  id: number;
  owner: Address | undefined;
  open: OpenFile | undefined;
  lastMs: number;
  isUsed: boolean;
}

export type Found = { slot: Session } | { answer: "ack" | number };

export class ArduPilotSessions {
  #slots: Session[] = [];
  #nextId = 1;

  constructor(readonly host: FtpHost) {
    this.clear();
  }

  clear(): void {
    this.#slots = Array.from({ length: this.host.traits.sessions }, () => ({
      id: -1,
      owner: undefined,
      open: undefined,
      lastMs: -Infinity,
      isUsed: false,
    }));
    this.#nextId = 1;
  }

  close(session: Session): void {
    session.open = undefined;
    session.isUsed = false;
    session.id = -1;
  }

  /** ResetSessions: the new server closes what belongs to the asker, the old one what there is. */
  reset(asker: Address): void {
    for (const slot of this.#slots) {
      const isOwn = slot.owner?.systemId === asker.systemId && slot.owner.componentId === asker.componentId;
      if (isOwn || !this.host.traits.allocatesSessions) this.close(slot);
    }
  }

  closeIdle(): void {
    const nowMs = this.host.scheduler.nowMs;
    for (const slot of this.#slots) {
      if (!slot.isUsed || nowMs - slot.lastMs < this.host.traits.idleCloseMs) continue;
      if (slot.open !== undefined) this.host.event("idle-close", slot.open.path);
      this.close(slot);
    }
  }

  of(request: FtpPacket, asker: Address): Found {
    return this.host.traits.allocatesSessions ? this.#byAsker(request, asker) : this.#theOne(request, asker);
  }

  #theOne(request: FtpPacket, asker: Address): Found {
    const slot = this.#slots[0]!;
    const name = opcodeName(request.opcode);
    const isForeign = request.session !== slot.id;
    if (isForeign && (name === "TerminateSession" || name === "ResetSessions")) return { answer: "ack" };
    if (isForeign && slot.open !== undefined) {
      if (this.host.scheduler.nowMs - slot.lastMs < TAKEN_AFTER_MS) return { answer: ERRORS.InvalidSession };
      this.close(slot);
    }
    // What has no file open belongs to nobody: the id is taken as it is said.
    if (slot.open !== undefined) return { slot };
    slot.owner = asker;
    slot.isUsed = true;
    const isOpening = name === "OpenFileRO" || name === "OpenFileWO" || name === "CreateFile";
    if (isOpening) slot.id = request.session;
    return isOpening ? { slot } : { slot: { ...slot, id: request.session } };
  }

  #byAsker(request: FtpPacket, asker: Address): Found {
    const nowMs = this.host.scheduler.nowMs;
    const own = this.#slots.find((slot) =>
      slot.isUsed && slot.id === request.session && slot.owner?.systemId === asker.systemId &&
      slot.owner.componentId === asker.componentId
    );
    if (own !== undefined) return { slot: own };
    let slot = this.#slots.find(({ isUsed }) => !isUsed);
    if (slot === undefined) {
      const oldest = this.#slots.reduce((a, b) => b.lastMs < a.lastMs ? b : a);
      if (nowMs - oldest.lastMs > TAKEN_AFTER_MS) slot = oldest;
    }
    if (slot === undefined) return { answer: ERRORS.NoSessionsAvailable };
    slot.open = undefined;
    slot.isUsed = true;
    slot.owner = asker;
    slot.id = request.session === 0 ? this.#freeId() : request.session;
    return { slot };
  }

  #freeId(): number {
    while (this.#slots.some(({ isUsed, id }) => isUsed && id === this.#nextId)) this.#nextId = this.#nextId % 255 + 1;
    const id = this.#nextId;
    this.#nextId = this.#nextId % 255 + 1;
    return id;
  }
}
