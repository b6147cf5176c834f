/** What the tests of the device gate stand on: a clock that they move, and a device that they play. */
import type { Turn } from "../driver/mod.ts";
import { EventBus, type FilesyncEvent } from "../observe/mod.ts";
import { FakeDevice } from "../../tests/support/fake_device.ts";
import { DeviceGate } from "./device_gate.ts";
import { TurnPool } from "./turns.ts";

/** Time that moves when it is told to. */
export class FakeClock {
  #nowMs = 0;
  #timers = new Map<number, { atMs: number; run: () => void }>();
  #next = 1;
  nowMs = () => this.#nowMs;
  after = (ms: number, run: () => void) => {
    const id = this.#next++;
    this.#timers.set(id, { atMs: this.#nowMs + ms, run });
    return () => void this.#timers.delete(id);
  };
  get pending(): number {
    return this.#timers.size;
  }
  /** When the next timer is due, milliseconds from now. */
  get nextMs(): number | undefined {
    const due = [...this.#timers.values()].map(({ atMs }) => atMs - this.#nowMs);
    return due.length === 0 ? undefined : Math.min(...due);
  }
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const [id, { atMs, run }] of [...this.#timers]) {
      if (atMs <= this.#nowMs) {
        this.#timers.delete(id);
        run();
      }
    }
    await settle();
  }
}

/** Lets what is due happen. */
export const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** A gate before a device that a test plays. */
export class GateBed implements Disposable {
  readonly device = new FakeDevice();
  readonly clock = new FakeClock();
  readonly events: Extract<FilesyncEvent, { event: "device" }>[] = [];
  readonly records: unknown[] = [];
  readonly gate: DeviceGate;
  changes = 0;
  readonly #abort = new AbortController();

  constructor(role: "source" | "target" = "source", turns = new TurnPool()) {
    const bus = new EventBus();
    bus.listen((event) => {
      if (event.event === "device") this.events.push(event);
    });
    this.gate = new DeviceGate({
      name: "drone1",
      role,
      client: this.device,
      turns,
      events: bus,
      record: (state) => this.records.push(state),
      onChange: () => this.changes++,
      clock: this.clock,
    });
  }

  turn(user = "job1", alone = false, signal = this.#abort.signal): Promise<Turn> {
    return this.gate.turn(user, { signal, alone });
  }

  /** Asks for a turn and tells whether it was given at once. */
  async gets(user = "job1"): Promise<boolean> {
    const abort = new AbortController();
    const turn = this.turn(user, false, abort.signal).then((turn) => turn, () => undefined);
    await settle();
    abort.abort();
    const given = await turn;
    given?.end();
    return given !== undefined;
  }

  /** The device's words, one per transition. */
  get words(): string[] {
    return this.events.map((event) => event.held ? "held" : event.available ? "available" : event.code ?? "?");
  }

  [Symbol.dispose](): void {
    this.gate.stop();
    this.#abort.abort();
  }
}
