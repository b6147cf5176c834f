/**
 * The date, and whether it can be believed. A Pi without a clock battery starts in the past until it hears of the time:
 * nothing is decided by the date but a job's windows, and those are ignored while it is known to be wrong.
 */
import { existsSync } from "node:fs";
import type { Log } from "../observe/mod.ts";
import type { Store } from "../state/mod.ts";
import { CLOCK_SANE_MS, isInWindow, type TimeWindow } from "./window.ts";

/** systemd-timesyncd makes it when the clock was set from the network in this boot. */
const SYNCHRONISED_FILE = "/run/systemd/timesync/synchronized";
/** The newest time at which the clock was known to be right, milliseconds since 1970. */
const SET_META = "clock_set_ms";
/** That time is written at most so often, milliseconds: a card's wear is spared. */
const SET_WRITE_MS = 60 * 60 * 1000;

/** Replaced by tests. */
export interface ClockSeams {
  nowMs?: () => number;
  isSynchronised?: () => boolean;
}

/**
 * Whether the date is known to be wrong: when it is older than this program, or, before the network has set it, older
 * than the last time that was right. For one that only looks at the store.
 */
export function isDateWrong(store: Store, seams: ClockSeams = {}): boolean {
  const { nowMs = Date.now, isSynchronised = isSynchronisedNow } = seams;
  return isWrongDate(nowMs(), isSynchronised(), lastSetMs(store));
}

function isWrongDate(nowMs: number, isSet: boolean, setMs: number): boolean {
  return nowMs < CLOCK_SANE_MS || (!isSet && nowMs < setMs);
}

function isSynchronisedNow(): boolean {
  return existsSync(SYNCHRONISED_FILE);
}

function lastSetMs(store: Store): number {
  return Number(store.meta(SET_META) ?? "0");
}

/** The machine's wall clock, as the jobs of one run see it. */
export class WallClock {
  readonly #store: Store;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #isSynchronised: () => boolean;
  #setMs: number;
  #wasWrong = false;

  constructor(store: Store, log: Log, seams: ClockSeams = {}) {
    this.#store = store;
    this.#log = log;
    this.#nowMs = seams.nowMs ?? Date.now;
    this.#isSynchronised = seams.isSynchronised ?? isSynchronisedNow;
    this.#setMs = lastSetMs(store);
  }

  /**
   * Whether a job with `windows` may work now: they do not count while the date is known to be wrong. Tells once when it
   * becomes so, and when it ceases to be.
   */
  isInWindow(windows: readonly TimeWindow[]): boolean {
    if (windows.length === 0) return true;
    const nowMs = this.#nowMs();
    const isSet = this.#isSynchronised();
    const isWrong = isWrongDate(nowMs, isSet, this.#setMs);
    if (isWrong !== this.#wasWrong) {
      const time = new Date(nowMs).toISOString().slice(0, 16).replace("T", " ");
      if (isWrong) this.#log.warning(`Clock says ${time} UTC, which is past: windows are ignored until it is right`);
      else this.#log.info(`Clock says ${time} UTC now: windows count again`);
      this.#wasWrong = isWrong;
    }
    if (isSet && !isWrong && Math.abs(nowMs - this.#setMs) >= SET_WRITE_MS) {
      this.#setMs = nowMs;
      this.#store.write(() => this.#store.setMeta(SET_META, String(nowMs)));
    }
    return isWrong || isInWindow(windows, new Date(nowMs));
  }
}
