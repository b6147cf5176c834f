/** Time windows of a job, in local time: when it may work. */

/** Minutes since local midnight; `toMinute` may lie before `fromMinute`: the window crosses midnight. */
export interface TimeWindow {
  fromMinute: number;
  toMinute: number;
}

/** This program is not older: a date before this is known to be wrong. */
export const CLOCK_SANE_MS = Date.UTC(2026, 10, 1);

const DAY_MINUTES = 24 * 60;

/** Whether `date` lies in a window; no windows mean always. */
export function isInWindow(windows: readonly TimeWindow[], date: Date): boolean {
  if (windows.length === 0) return true;
  const minute = date.getHours() * 60 + date.getMinutes();
  return windows.some(({ fromMinute, toMinute }) =>
    fromMinute <= toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute
  );
}

/** What a log line says of a job that waits for its window: `22:00-06:00`. */
export function formatWindows(windows: readonly TimeWindow[]): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const time = (minute: number) => `${two(Math.floor((minute % DAY_MINUTES) / 60))}:${two(minute % 60)}`;
  return windows.map(({ fromMinute, toMinute }) => `${time(fromMinute)}-${time(toMinute)}`).join(", ");
}
