/** The receiver of a link: frames are taken as they come, or wait in a small buffer while it is busy with something long. */
import type { Scheduler } from "./scheduler.ts";
import type { Frame } from "./wire/frame.ts";

export class Inbox {
  #deafUntilMs = 0;
  #waiting: Frame[] = [];
  #waitingBytes = 0;

  constructor(
    readonly scheduler: Scheduler,
    readonly roomBytes: number,
    readonly take: (frame: Frame) => void,
    readonly overflow: () => void,
  ) {}

  deafen(durationMs: number): void {
    this.#deafUntilMs = this.scheduler.nowMs + durationMs;
  }

  clear(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#deafUntilMs = 0;
  }

  receive(frame: Frame): void {
    if (this.scheduler.nowMs >= this.#deafUntilMs && this.#waiting.length === 0) return this.take(frame);
    if (this.#waitingBytes + frame.bytes.length > this.roomBytes) return this.overflow();
    if (this.#waiting.length === 0) this.scheduler.at(this.#deafUntilMs, () => this.#catchUp());
    this.#waiting.push(frame);
    this.#waitingBytes += frame.bytes.length;
  }

  #catchUp(): void {
    while (this.#waiting.length > 0) {
      if (this.scheduler.nowMs < this.#deafUntilMs) {
        this.scheduler.at(this.#deafUntilMs, () => this.#catchUp());
        return;
      }
      const frame = this.#waiting.shift()!;
      this.#waitingBytes -= frame.bytes.length;
      this.take(frame);
    }
  }
}
