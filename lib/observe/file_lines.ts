/**
 * Lines about single files: of each kind the first few are told with their names, the rest are counted. Ten thousand files
 * that one reason stops are a handful of lines, over a minute as over a day; `status` and `why` tell of each.
 */
import type { LogLevel } from "../driver/mod.ts";

/** Lines of one kind that are told with their names before the rest is counted. */
const NAMED_MAX = 5;
/** The rest is counted for so long, each time twice as long while more come, milliseconds. */
const COUNTED_MS = { first: 60_000, most: 3600_000 };
/** Kinds that are told apart; reasons that are another one for each file are one kind of their job. */
const KINDS_MAX = 64;

interface Kind {
  level: LogLevel;
  scope: string;
  named: number;
  untold: number;
  /** The last one that was not told. */
  message: string;
  windowMs: number;
  timer: unknown;
}

/** Timers, replaced by tests. */
export interface Timers {
  set(action: () => void, ms: number): unknown;
  clear(timer: unknown): void;
}

const TIMERS: Timers = {
  set: (action, ms) => {
    const timer = setTimeout(action, ms);
    Deno.unrefTimer(timer as unknown as number);
    return timer;
  },
  clear: (timer) => clearTimeout(timer as number),
};

/** Decides which lines about single files are written. */
export class FileLines {
  readonly #kinds = new Map<string, Kind>();
  readonly #write: (level: LogLevel, scope: string, message: string) => void;
  readonly #timers: Timers;

  constructor(write: (level: LogLevel, scope: string, message: string) => void, timers: Timers = TIMERS) {
    this.#write = write;
    this.#timers = timers;
  }

  /** Tells a line about `file`, or counts it. */
  tell(level: LogLevel, scope: string, message: string, file: string): void {
    const kind = this.#kind(level, scope, kindOf(message, file));
    if (kind.named < NAMED_MAX) {
      kind.named++;
      this.#write(level, scope, message);
    } else {
      kind.untold++;
      kind.message = message;
    }
  }

  /** Tells what was counted and forgets all kinds. */
  end(): void {
    for (const kind of this.#kinds.values()) {
      this.#timers.clear(kind.timer);
      this.#report(kind);
    }
    this.#kinds.clear();
  }

  #kind(level: LogLevel, scope: string, words: string): Kind {
    const own = JSON.stringify([level, scope, words]);
    const key = this.#kinds.has(own) || this.#kinds.size < KINDS_MAX ? own : JSON.stringify([level, scope]);
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      kind = { level, scope, named: 0, untold: 0, message: "", windowMs: COUNTED_MS.first, timer: undefined };
      this.#kinds.set(key, kind);
      this.#open(key, kind);
    }
    return kind;
  }

  #open(key: string, kind: Kind): void {
    kind.timer = this.#timers.set(() => {
      if (kind.untold === 0) {
        this.#kinds.delete(key);
        return;
      }
      this.#report(kind);
      kind.windowMs = Math.min(kind.windowMs * 2, COUNTED_MS.most);
      this.#open(key, kind);
    }, kind.windowMs);
  }

  #report(kind: Kind): void {
    const { level, scope, message, untold } = kind;
    if (untold === 0) return;
    kind.untold = 0;
    this.#write(
      level,
      scope,
      untold === 1 ? message : `${message} (and ${untold - 1} more like it; filesync status counts all)`,
    );
  }
}

/** What lines about different files have in common: all but the file's name, and what differs by the file. */
function kindOf(message: string, file: string): string {
  const base = file.slice(file.lastIndexOf("/") + 1).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return message.replaceAll(file, "").replace(new RegExp(`(?<!\\w)${base}(?!\\w)`, "g"), "")
    .replace(/\b[0-9a-f]{16,}\b|\d+/g, "#");
}
