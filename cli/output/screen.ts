/** The whole screen of `status --watch`: the word, what moves, then everything that `status` tells, as far as there is room. */
import type { MovingFile, StatusReport } from "../../lib/observe/mod.ts";
import { type LineOptions, movingLines } from "./render.ts";
import { statusLines } from "./status.ts";

export interface ScreenOptions extends LineOptions {
  rows: number;
  /** Milliseconds since 1970 UTC. */
  nowMs: number;
}

/** Share of the screen that moving files may take. */
const MOVING_SHARE = 1 / 3;

/** Lines without line ends, one fewer than the screen has at most. */
export function screenLines(report: StatusReport, moving: MovingFile[], options: ScreenOptions): string[] {
  const [word = "", ...rest] = statusLines(report, options);
  const room = options.rows - 1;
  const lines = [
    word,
    ...(moving.length === 0 ? [] : ["", ...movingLines(moving, Math.max(1, Math.floor(room * MOVING_SHARE)), options)]),
    ...rest,
  ];
  if (lines.length <= room) return lines;
  const shown = lines.slice(0, Math.max(1, room - 1));
  return [...shown, `${options.unicode ? "…" : "..."} ${lines.length - shown.length} more lines: filesync status`];
}
