/** How a vehicle speaks: MAVLink 1 or 2, signed or not, and not at all until somebody is heard. */
import type { Traits } from "./personality.ts";
import type { VehicleOptions } from "./options.ts";
import { encodeFrame, type Frame } from "./wire/frame.ts";
import { type MessageKind, MESSAGES } from "./wire/messages.ts";
import { SignatureCheck, type SignatureVerdict, Signer } from "./wire/signing.ts";

export class Voice {
  isAwake = true;
  /** Somebody got a shell on this port: no MAVLink until the next boot. */
  hasShell = false;
  #version: 1 | 2 = 1;
  #seq = 0;
  #returns = 0;
  readonly #signer: Signer | undefined;
  readonly #signatures: SignatureCheck | undefined;

  constructor(
    readonly who: { systemId: number; componentId: number },
    readonly options: VehicleOptions,
    readonly traits: Traits,
    wallMs: () => number,
  ) {
    if (options.signing !== undefined) {
      this.#signer = new Signer(options.signing.key, options.signing.linkId ?? 0, wallMs);
      this.#signatures = new SignatureCheck(this.#signer);
    }
    this.boot();
  }

  get isSigning(): boolean {
    return this.#signer !== undefined;
  }

  boot(): void {
    const { mavlink, silentUntilHeartbeat } = this.options;
    this.#seq = 0;
    this.#version = mavlink === 2 || (mavlink === undefined && !this.traits.startsInV1) ? 2 : 1;
    this.isAwake = !(silentUntilHeartbeat ?? false);
    this.hasShell = false;
  }

  /** The next frame; `undefined` while it is silent. */
  frame(message: MessageKind, payload: Uint8Array): Uint8Array | undefined {
    if (!this.isAwake || this.hasShell) return undefined;
    const version = this.#signer === undefined ? this.#version : 2;
    return encodeFrame({ version, seq: this.#seq, ...this.who }, message, payload, this.#signer);
  }

  /** The last frame was sent. */
  sent(): void {
    this.#seq = (this.#seq + 1) & 0xff;
  }

  /** Whether a frame is understood at all. */
  understands(frame: Frame): boolean {
    return !this.hasShell && (frame.version === 1 || this.options.mavlink !== "1-only");
  }

  /** Judges a frame, and learns of the other side's version. */
  hear(frame: Frame): SignatureVerdict {
    const isRadio = frame.messageId === MESSAGES.RADIO_STATUS.id;
    const verdict = isRadio ? "good" : this.#signatures?.judge(frame) ?? "good";
    if (verdict !== "good") return verdict;
    if (frame.version === 2 && this.options.mavlink === undefined && !isRadio) this.#version = 2;
    if (frame.messageId === MESSAGES.HEARTBEAT.id) this.isAwake = true;
    return verdict;
  }

  /** A byte outside of frames; says whether it was the last of three returns, which ask PX4 on USB for its shell. */
  junk(byte: number): boolean {
    this.#returns = byte === 13 ? this.#returns + 1 : 0;
    if (this.#returns !== 3 || this.isAwake || this.options.silentUntilHeartbeat !== true) return false;
    this.hasShell = true;
    return true;
  }
}
