/**
 * Sizes, rates, durations and windows of time as people write them, and back. Pure functions.
 */

const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const DURATION_UNITS: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Longest duration that is taken: ten years, milliseconds. */
export const DURATION_MS_MAX = 3650 * 86_400_000;

/**
 * Bytes of `"2GiB"`, `"1.5 MB"` or a bare number of bytes. Zero is a size.
 * @throws {SyntaxError} If the text is no size; the message says what was expected
 */
export function parseSize(value: string | number): number {
  return parseBytes(value, "a size", '"200MiB"');
}

/**
 * Bytes per second of `"500KiB/s"`, `"500KiB"` or a bare number of bytes per second.
 * @throws {SyntaxError} If the text is no rate above zero
 */
export function parseRate(value: string | number): number {
  const text = typeof value === "string" ? value.replace(/\s*\/\s*s(ec)?\s*$/, "") : value;
  const bytes = parseBytes(text, "a rate", '"500KiB/s"', value);
  if (bytes === 0) throw new SyntaxError(`Expected a rate above zero, or null for no limit, got ${quote(value)}`);
  return bytes;
}

function parseBytes(value: string | number, what: string, example: string, written = value): number {
  const expected = `Expected ${what} such as ${example}, got ${quote(written)}`;
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0) throw new SyntaxError(expected);
    return value;
  }
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(value);
  if (match === null) throw new SyntaxError(expected);
  const [, number = "", unit = ""] = match;
  const factor = unit === "" ? 1 : SIZE_UNITS[unit] ?? lowerCaseUnit(unit);
  if (factor === undefined) {
    const letter = /^[kmgt]$/i.test(unit) ? unit.toUpperCase() : undefined;
    const advice = letter === undefined
      ? "the units are B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024)"
      : `write "${number}${letter}iB" (powers of 1024) or "${number}${
        letter === "K" ? "k" : letter
      }B" (powers of 1000)`;
    throw new SyntaxError(`${expected}: unit "${unit}" is unknown, ${advice}`);
  }
  const bytes = Math.round(Number(number) * factor);
  if (!Number.isSafeInteger(bytes)) throw new SyntaxError(`${expected}: it is too large`);
  return bytes;
}

/** `"mib"` is taken for `"MiB"`, but `"Mb"` is not guessed at: it is a megabit to many. */
function lowerCaseUnit(unit: string): number | undefined {
  if (unit !== unit.toLowerCase()) return undefined;
  const name = Object.keys(SIZE_UNITS).find((known) => known.toLowerCase() === unit);
  return name === undefined ? undefined : SIZE_UNITS[name];
}

/**
 * Milliseconds of `"250ms"`, `"5m"`, `"1h30m"`, `"2d"` or a bare number of seconds. Zero is a duration.
 * @throws {SyntaxError} If the text is no duration up to ten years
 */
export function parseDuration(value: string | number): number {
  const expected = `Expected a duration such as "10s" or "1h30m", got ${quote(value)}`;
  const ms = typeof value === "number" ? Math.round(value * 1000) : durationMs(value, expected);
  if (!Number.isFinite(ms) || ms < 0) throw new SyntaxError(expected);
  if (ms > DURATION_MS_MAX) throw new SyntaxError(`${expected}: the longest is 3650d`);
  return ms;
}

function durationMs(text: string, expected: string): number {
  const bare = /^\s*(\d+(?:\.\d+)?)\s*$/.exec(text);
  if (bare !== null) return Math.round(Number(bare[1]) * 1000);
  if (!/^\s*(\d+(\.\d+)?\s*[A-Za-z]+\s*)+$/.test(text)) throw new SyntaxError(expected);
  let total = 0;
  let smallest = Infinity;
  for (const [, number = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)\s*([A-Za-z]+)/g)) {
    const factor = DURATION_UNITS[unit];
    if (factor === undefined) {
      throw new SyntaxError(`${expected}: unit "${unit}" is unknown, the units are d, h, m, s and ms`);
    }
    if (factor >= smallest) throw new SyntaxError(`${expected}: the units must go from large to small, each once`);
    smallest = factor;
    total += Number(number) * factor;
  }
  return Math.round(total);
}

/**
 * Minutes since midnight of `"22:00-06:00"`. The end may be before the start: the window crosses midnight.
 * @throws {SyntaxError} If the text is no window
 */
export function parseWindow(text: string): { fromMinute: number; toMinute: number } {
  const expected = `Expected a window of local time such as "22:00-06:00", got ${quote(text)}`;
  const match = /^\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*$/.exec(text);
  if (match === null) throw new SyntaxError(expected);
  const [fromHour = 0, from = 0, toHour = 0, to = 0] = match.slice(1).map(Number);
  const fromMinute = fromHour * 60 + from;
  const toMinute = toHour * 60 + to;
  if (fromHour > 23 || from > 59 || to > 59 || toMinute > 24 * 60) throw new SyntaxError(expected);
  if (fromMinute === toMinute) throw new SyntaxError(`${expected}: it is empty; leave the list empty for "always"`);
  return { fromMinute, toMinute };
}

/** The shortest exact text of a size: `"2GiB"`, `"1500000B"`. */
export function formatSize(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"]) {
    const factor = SIZE_UNITS[unit] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}

/** The exact text of a rate: `"500KiB/s"`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(bytesPerSecond)}/s`;
}

/** The exact text of a duration: `"1h30m"`, `"250ms"`, `"0s"`. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = "";
  for (const [unit, factor] of Object.entries(DURATION_UNITS)) {
    const count = Math.floor(rest / factor);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * factor;
  }
  return text === "" ? "0s" : text;
}

/** The text of a window: `"22:00-06:00"`. */
export function formatWindow(window: { fromMinute: number; toMinute: number }): string {
  const clock = (minute: number) =>
    `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
  return `${clock(window.fromMinute)}-${clock(window.toMinute)}`;
}

function quote(value: string | number): string {
  return JSON.stringify(typeof value === "string" && value.length > 60 ? `${value.slice(0, 60)}…` : value);
}
