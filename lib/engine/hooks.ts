/**
 * What the configuration wants done on events. Files never wait for a hook: each has a bounded queue and one call at a
 * time, and what finds no room is dropped and counted.
 */
import type { Config, HookConfig, HookName } from "../config/mod.ts";
import { backoffMs, Bell } from "../driver/mod.ts";
import { type EventBus, type EventTeller, type FilesyncEvent, logFor } from "../observe/mod.ts";
import { callHook, type HookEvent } from "./hook_call.ts";

/** Events that wait for one hook. */
const WAITING_MAX = 100;
/** Calls for one event, and the waits between them, milliseconds. */
const CALLS_MAX = 3;
const AGAIN = { firstMs: 1000, maxMs: 30_000 };
/** How often it is looked whether nothing is left to do, milliseconds. */
const IDLE_LOOK_MS = 1000;
/** How long hooks that are under way have at the end, and when a signal came, milliseconds. */
const END_MS = 30_000;
const STOPPED_MS = 1000;

/** What hooks need. */
export interface HooksOptions {
  config: Config["hooks"];
  /** For messages, and for relative secret files. */
  configFile: string;
  events: EventBus;
  teller: EventTeller;
  /** Whether nothing is left to do. */
  isIdle: () => boolean;
}

/** The hooks of one run. */
export class Hooks {
  readonly #queues = new Map<HookName, HookQueue>();
  readonly #stopListening: () => void;
  readonly #options: HooksOptions;
  #looking: ReturnType<typeof setInterval> | undefined;
  #hasMoved = false;

  constructor(options: HooksOptions) {
    this.#options = options;
    for (const [name, hook] of Object.entries(options.config) as [HookName, HookConfig][]) {
      this.#queues.set(name, new HookQueue(name, hook, options.configFile));
    }
    this.#stopListening = this.#queues.size === 0 ? () => {} : options.events.listen((event) => this.#take(event));
    if (this.#queues.has("idle")) this.#looking = setInterval(() => this.#lookIdle(), IDLE_LOOK_MS);
  }

  /**
   * Ends, once what is under way and what waits has been done.
   * @param isStopped somebody waits for the end of the program
   */
  async end(isStopped: boolean): Promise<void> {
    this.#stopListening();
    clearInterval(this.#looking);
    if (!isStopped) this.#lookIdle();
    const patience = AbortSignal.timeout(isStopped ? STOPPED_MS : END_MS);
    await Promise.all([...this.#queues.values()].map((queue) => queue.end(patience)));
  }

  #take(event: FilesyncEvent): void {
    const name = hookOf(event);
    if (name === undefined) return;
    if (name === "delivered" || name === "parked") this.#hasMoved = true;
    this.#queues.get(name)?.add(this.#options.teller.tell(event));
  }

  /** Told once each time that the last file has come to rest. */
  #lookIdle(): void {
    if (!this.#hasMoved || !this.#options.isIdle()) return;
    this.#hasMoved = false;
    this.#queues.get("idle")?.add({ schema: 1, event: "idle", time: new Date().toISOString() });
  }
}

function hookOf(event: FilesyncEvent): HookName | undefined {
  switch (event.event) {
    case "delivered":
    case "safe_to_unplug":
      return event.event;
    case "parked":
    case "uncertain":
      return "parked";
    case "device":
      return "held";
    default:
      return undefined;
  }
}

/** One hook with what waits for it. */
class HookQueue {
  readonly #name: HookName;
  readonly #hook: HookConfig;
  readonly #configFile: string;
  readonly #log = logFor("hooks");
  readonly #ending = new AbortController();
  #waiting: HookEvent[] = [];
  #dropped = 0;
  #working: Promise<void> | undefined;

  constructor(name: HookName, hook: HookConfig, configFile: string) {
    this.#name = name;
    this.#hook = hook;
    this.#configFile = configFile;
  }

  add(event: HookEvent): void {
    if (this.#waiting.length >= WAITING_MAX) {
      if (this.#dropped++ === 0) this.#log.warning(`Hook "${this.#name}" does not keep up: events are dropped`);
      return;
    }
    this.#waiting.push(event);
    this.#working ??= this.#work().finally(() => this.#working = undefined);
  }

  /** Resolves when nothing is under way any more; what `patience` cuts off is given up. */
  async end(patience: AbortSignal): Promise<void> {
    const cut = () => this.#ending.abort();
    if (patience.aborted) cut();
    patience.addEventListener("abort", cut, { once: true });
    await this.#working;
    patience.removeEventListener("abort", cut);
    const lost = this.#dropped + this.#waiting.length;
    if (lost > 0) this.#log.warning(`Hook "${this.#name}" was not told of ${lost} events`);
  }

  async #work(): Promise<void> {
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) {
      await this.#tell(event);
      if (this.#ending.signal.aborted) return;
    }
  }

  async #tell(event: HookEvent): Promise<void> {
    const { signal } = this.#ending;
    for (let calls = 1; !signal.aborted; calls++) {
      const problem = await callHook(this.#hook, event, { configFile: this.#configFile, signal });
      if (problem === undefined) return;
      if (calls === CALLS_MAX || !problem.isPassing) {
        this.#log.warning(`Hook "${this.#name}": ${problem.words}`);
        return;
      }
      await new Bell().wait(signal, backoffMs(calls, AGAIN));
    }
  }
}
