/**
 * Lets devices go that a person waits for: as soon as nothing is left to do on one, it is told so, and when it may be
 * unplugged that is announced. Asks for it once for each visit of a device, and again after more was moved.
 */
import { asDriverError } from "../driver/mod.ts";
import { type EventBus, logFor } from "../observe/mod.ts";
import type { DeviceGate } from "./device_gate.ts";
import type { OpenDevice } from "./devices.ts";
import type { JobPipeline } from "./pipeline.ts";

export interface ReleaserOptions {
  devices: () => OpenDevice[];
  pipelines: readonly JobPipeline[];
  events: EventBus;
}

export class Releaser {
  readonly #options: ReleaserOptions;
  /** What had happened on a device when it was let go last. */
  readonly #done = new Map<DeviceGate, string>();
  readonly #visits = new Map<DeviceGate, number>();
  readonly #moved = new Map<DeviceGate, number>();
  readonly #asked = new Set<DeviceGate>();
  #stopListening: () => void;

  constructor(options: ReleaserOptions) {
    this.#options = options;
    this.#stopListening = options.events.listen((event) => {
      if (event.event === "downloaded") this.#note(event.job, undefined);
      if (event.event === "delivered") this.#note(event.job, event.target);
    });
  }

  stop(): void {
    this.#stopListening();
  }

  /** Has sources listed that came back: a person may stand beside them. */
  noteOpenings(): void {
    for (const { gate } of this.#options.devices()) {
      const before = this.#visits.get(gate) ?? 0;
      this.#visits.set(gate, gate.openings);
      if (gate.openings === before || !gate.canRelease) continue;
      for (const pipeline of this.#options.pipelines) if (pipeline.sourceGate === gate) pipeline.listAgain();
    }
  }

  /** Lets go what nothing is left to do on. Cheap where there is nothing to let go. */
  async look(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#options.devices().map(({ gate }) => this.#letGo(gate, signal)));
  }

  async #letGo(gate: DeviceGate, signal: AbortSignal): Promise<void> {
    if (!this.#isDue(gate) || this.#asked.has(gate)) return;
    this.#asked.add(gate);
    try {
      const turn = await gate.turn("release", { signal, alone: true });
      try {
        // While we waited for all others to end, there may have been news.
        if (!this.#isDue(gate)) return turn.end();
        const now = this.#stateOf(gate);
        const { safe } = await turn.client.release!({ signal });
        this.#done.set(gate, now);
        turn.end();
        if (safe) this.#options.events.emit({ event: "safe_to_unplug", device: gate.name });
      } catch (error) {
        turn.end(asDriverError(error));
        this.#done.set(gate, this.#stateOf(gate));
        if (!signal.aborted) logFor(gate.name).warning(`Cannot let the device go: ${asDriverError(error).message}`);
      }
    } catch {
      // We end: the plugin lets go by itself.
    } finally {
      this.#asked.delete(gate);
    }
  }

  #isDue(gate: DeviceGate): boolean {
    if (!gate.isOpen || !gate.canRelease || this.#done.get(gate) === this.#stateOf(gate)) return false;
    const users = this.#options.pipelines.filter((job) => job.sourceGate === gate || job.targetGates.includes(gate));
    const isSource = users.some((job) => job.sourceGate === gate);
    // A target that nothing was written to is nobody's business.
    if (!isSource && !this.#moved.has(gate)) return false;
    return users.every((job) => job.isDoneWith(gate));
  }

  #stateOf(gate: DeviceGate): string {
    return `${gate.openings} ${this.#moved.get(gate) ?? 0}`;
  }

  #note(job: string, target: string | undefined): void {
    for (const pipeline of this.#options.pipelines) {
      if (pipeline.row.name !== job) continue;
      const index = pipeline.row.targets.findIndex(({ name }) => name === target);
      const gate = target === undefined ? pipeline.sourceGate : pipeline.targetGates[index];
      if (gate !== undefined) this.#moved.set(gate, (this.#moved.get(gate) ?? 0) + 1);
    }
  }
}
