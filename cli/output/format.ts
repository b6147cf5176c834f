/**
 * Numbers for people: sizes in IEC units, rates, durations, plurals. Three significant digits, never wider than said.
 */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

function unitOf(bytes: number): number {
  let unit = 0;
  // 1023.5 would be shown as 1024.
  for (let value = Math.abs(bytes); value >= 1023.5 && unit < UNITS.length - 1; value /= 1024) unit++;
  return unit;
}

function inUnit(bytes: number, unit: number): string {
  const value = bytes / 1024 ** unit;
  if (unit === 0 || value >= 99.95) return String(Math.round(value));
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** `1536` → `1.50 KiB`; at most 8 columns. */
export function formatBytes(bytes: number): string {
  const unit = unitOf(bytes);
  return `${inUnit(bytes, unit)} ${UNITS[unit]}`;
}

/** Done of all in the unit of all: `12.3/45.6 MiB`, at most 13 columns; of an unknown size only what is done. */
export function formatShare(doneBytes: number, sizeBytes: number | undefined): string {
  if (sizeBytes === undefined) return formatBytes(doneBytes);
  const unit = unitOf(Math.max(sizeBytes, doneBytes));
  return `${inUnit(doneBytes, unit)}/${inUnit(sizeBytes, unit)} ${UNITS[unit]}`;
}

/** `1536` → `1.50 KiB/s`; at most 10 columns. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** What is left, as a clock: `0:07`, `12:34`, `1:02:03`, `2d 3h`; at most 7 columns. */
export function formatEta(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  if (seconds < 86_400) {
    return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  }
  const days = Math.floor(seconds / 86_400);
  return days > 99 ? ">99 d" : `${days}d ${Math.floor(seconds / 3600) % 24}h`;
}

/** How long something took or lasts: `340 ms`, `4.2 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
  if (seconds < 86_400) return pair(Math.floor(seconds / 3600), "h", Math.floor(seconds / 60) % 60, "min");
  return pair(Math.floor(seconds / 86_400), "d", Math.floor(seconds / 3600) % 24, "h");
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** `1 file`, `3 files`. */
export function count(number: number, one: string, many: string = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** Local date and time to the minute: `2026-11-23 10:05`. */
export function formatTime(ms: number): string {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return "-";
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${
    two(at.getMinutes())
  }`;
}
