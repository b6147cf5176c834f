/**
 * The live lines: one for each moving file, one for all. Pure: the same state and width give the same lines.
 */
import { formatEta, formatRate, formatShare } from "./format.ts";
import { type MovingFile, movingFiles, type Progress, visible } from "../../lib/observe/mod.ts";
import { displayWidth, fit, truncateMiddle } from "./width.ts";

export interface LineOptions {
  /** Columns of the terminal; lines stay one short of it. */
  columns: number;
  colour: boolean;
  unicode: boolean;
}

export interface RenderOptions extends LineOptions {
  /** Rows of the terminal; no more lines than fit with one to spare. */
  rows: number;
  nowMs: number;
}

const SHARE_COLUMNS = 13;
const RATE_COLUMNS = 10;
const ETA_COLUMNS = 7;
/** Below this a name says nothing, and figures are left out instead. */
const NAME_COLUMNS_MIN = 14;
const TARGET_COLUMNS_MAX = 16;
/** Without growth for so long a file is shown as waiting, ms. */
const SILENT_MS = 5000;

/** Lines without line ends, each narrower than the terminal. */
export function render(progress: Progress, options: RenderOptions): string[] {
  const moving = movingFiles(progress, options.nowMs);
  return [
    ...movingLines(moving, Math.max(1, Math.min(moving.length, options.rows - 3)), options),
    summaryLine(progress, options),
  ];
}

/** A line for each file that moves, in `room` lines at most. */
export function movingLines(moving: MovingFile[], room: number, options: LineOptions): string[] {
  const shown = moving.length > room ? moving.slice(0, Math.max(0, room - 1)) : moving;
  const lines = shown.map((file) => fileLine(file, options));
  if (shown.length < moving.length) lines.push(dim(`  and ${moving.length - shown.length} more`, options));
  return lines;
}

function fileLine(file: MovingFile, options: LineOptions): string {
  const columns = options.columns - 1;
  const ellipsis = options.unicode ? "…" : "..";
  const arrow = file.target === undefined ? (options.unicode ? "↓" : "<") : (options.unicode ? "↑" : ">");
  const figures = figuresThatFit(file, columns - 2 - NAME_COLUMNS_MIN);
  const nameColumns = Math.max(0, columns - 2 - displayWidth(figures));
  const target = file.target === undefined
    ? ""
    : `  ${truncateMiddle(visible(file.target), Math.min(TARGET_COLUMNS_MAX, nameColumns >> 1), ellipsis)}`;
  const targetColumns = nameColumns - displayWidth(target) >= NAME_COLUMNS_MIN ? displayWidth(target) : 0;
  const name = fit(visible(file.path), nameColumns - targetColumns, "left", ellipsis);
  return truncateMiddle(`${arrow} ${name}`, columns, ellipsis) +
    (targetColumns > 0 ? dim(target, options) : "") + figures;
}

/** As many of: share, rate, time left, as there is room for. */
function figuresThatFit(file: MovingFile, room: number): string {
  const isDone = file.sizeBytes !== undefined && file.doneBytes >= file.sizeBytes;
  const isSilent = file.silentMs >= SILENT_MS;
  const rate = isDone
    ? "finishing"
    : isSilent
    ? "waiting"
    : file.bytesPerSecond === undefined
    ? ""
    : formatRate(file.bytesPerSecond);
  const eta = isDone || isSilent ? undefined : file.etaMs;
  const columns = [
    fit(formatShare(file.doneBytes, file.sizeBytes), SHARE_COLUMNS, "right"),
    fit(rate, RATE_COLUMNS, "right"),
    fit(eta === undefined ? "" : formatEta(eta), ETA_COLUMNS, "right"),
  ];
  let text = "";
  for (const column of columns) {
    if (displayWidth(text) + 2 + displayWidth(column) > room) break;
    text += `  ${column}`;
  }
  return text;
}

function summaryLine(progress: Progress, options: RenderOptions): string {
  const { totals } = progress;
  const rate = progress.rate.at(options.nowMs);
  const dot = options.unicode ? " · " : ", ";
  const full = [
    `${totals.found} found`,
    `${totals.downloaded} downloaded`,
    `${totals.delivered} delivered`,
    `${totals.waiting} waiting`,
    ...(totals.parked > 0 ? [`${totals.parked} parked`] : []),
    ...(totals.uncertain > 0 ? [`${totals.uncertain} uncertain`] : []),
    ...(progress.isMoving && rate >= 1 ? [formatRate(rate)] : []),
  ];
  const away = progress.away().map(({ device, held }) => `${visible(device)} ${held ? "held" : "away"}`);
  const columns = options.columns - 1;
  const room = columns - displayWidth(full.join(dot));
  const withAway = away.length > 0 && displayWidth(dot + away.join(dot)) <= room ? [...full, ...away] : full;
  const text = withAway.join(dot);
  const short = [`${totals.delivered} of ${totals.delivered + totals.waiting} delivered`, ...full.slice(4)].join(dot);
  return dim(truncateMiddle(displayWidth(text) <= columns ? text : short, columns), options);
}

function dim(text: string, options: LineOptions): string {
  return options.colour ? `\x1b[2m${text}\x1b[22m` : text;
}
