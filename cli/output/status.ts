/**
 * `filesync status` for people: one word, the journey of each job, devices, what needs a person, the spool.
 */
import { type DeviceStatus, type ParkedItem, type StatusReport, type Tally, visible } from "../../lib/observe/mod.ts";
import { count, formatBytes, formatDuration } from "./format.ts";
import { table } from "./table.ts";
import { wrapAll } from "./wrap.ts";

const WORDS: Record<StatusReport["word"], string> = {
  ok: "all that was found is delivered",
  working: "files are on their way",
  waiting: "a device is away",
  attention: "something needs you",
};
const COLOUR: Record<StatusReport["word"], string> = { ok: "32", working: "36", waiting: "33", attention: "31" };
const PARKED_SHOWN = 20;
/** Files that are shown of those whose source has something to say. */
const NOTED_SHOWN = 3;
/** Files that are shown of those that have one reason. */
const SAME_REASON_SHOWN = 3;

export interface StatusOptions {
  colour: boolean;
  unicode: boolean;
  nowMs: number;
  /** Of the terminal; absent: lines are as long as they are. */
  columns?: number | undefined;
}

/** Lines without line ends. */
export function statusLines(report: StatusReport, options: StatusOptions): string[] {
  const word = options.colour ? `\x1b[1;${COLOUR[report.word]}m${report.word}\x1b[0m` : report.word;
  const daemon = report.pid === undefined ? "sync is not running" : `sync runs as process ${report.pid}`;
  const lines = [
    `${word}: ${report.jobs.length === 0 ? "nothing has run yet" : reasonOf(report)} (${daemon})`,
    ...jobLines(report, options),
    ...deviceLines(report.devices, options),
    ...parkedLines(report, options),
    ...notedLines(report),
    "",
    `Spool: ${formatBytes(report.spool.usedBytes)} of ${formatBytes(report.spool.quotaBytes)} in ${
      visible(report.spool.dir)
    }`,
    ...pauseLines(report.spool, options.nowMs),
    ...resentLines(report),
    `State: ${visible(report.state)}`,
  ];
  return wrapAll(lines, options.columns);
}

/** What interruptions have cost, when they have cost anything. */
function resentLines({ resentBytes, resentUploadBytes }: StatusReport): string[] {
  if (resentBytes === 0) return [];
  const fetched = formatBytes(resentBytes - resentUploadBytes);
  return [`Moved again after interruptions: ${fetched} from sources, ${formatBytes(resentUploadBytes)} to targets`];
}

function pauseLines({ pause }: StatusReport["spool"], nowMs: number): string[] {
  if (pause === undefined) return [];
  const ago = pause.since === undefined ? "" : `, for ${since(pause.since, nowMs)}`;
  return [
    `  downloads wait${ago}: ${visible(pause.reason)}`,
    "  They go on by themselves when the spool takes files again; filesync doctor says what can be done",
  ];
}

function reasonOf({ word, devices, jobs, spool }: StatusReport): string {
  if (word === "waiting" && spool.pause !== undefined) return `downloads wait: ${visible(spool.pause.reason)}`;
  if (word !== "waiting" || devices.some(({ available, held }) => !available || held)) return WORDS[word];
  return jobs.some(({ waitsForWindow }) => waitsForWindow !== undefined)
    ? "outside the time window of a job"
    : "a source has never been listed to its end";
}

function jobLines(report: StatusReport, options: StatusOptions): string[] {
  if (report.jobs.length === 0) return [];
  const rows: string[][] = [];
  for (const job of report.jobs) {
    const all = sum(job.found, job.downloading, job.spooled, job.done, job.parked, job.gone);
    const source = [
      ...(job.waitsForWindow === undefined ? [] : [`waits for its window ${job.waitsForWindow}`]),
      ...(job.ignoresWindow === undefined ? [] : [`clock is wrong: window ${job.ignoresWindow} does not count`]),
      ...(job.found.count > 0 ? [`${tally(job.found)} waiting`] : []),
      ...(job.downloading.count > 0 ? [`${tally(job.downloading)} downloading`] : []),
      ...(job.parked.count > 0 ? [`${tally(job.parked)} parked`] : []),
      ...(job.gone.count > 0 ? [`${job.gone.count} gone`] : []),
    ];
    rows.push([
      visible(job.name),
      "source",
      tally(all),
      source.join(", ") || (all.count === 0 ? "nothing found yet" : ""),
    ]);
    rows.push(["", "spool", tally(job.spooled), ""]);
    for (const target of job.targets) {
      const rest = [
        ...(target.waiting.count > 0 ? [`${tally(target.waiting)} waiting`] : []),
        ...(target.uploading.count > 0 ? [`${tally(target.uploading)} uploading`] : []),
        ...(target.parked.count > 0 ? [`${tally(target.parked)} parked`] : []),
        ...(target.uncertain.count > 0 ? [`${tally(target.uncertain)} uncertain`] : []),
      ];
      rows.push(["", `${arrow(options)} ${visible(target.name)}`, tally(target.delivered), rest.join(", ")]);
    }
  }
  return [
    "",
    ...table(
      [{ title: "JOB" }, { title: "STATION" }, { title: "FILES", side: "right" }, { title: "REST" }],
      rows,
      options.columns,
    ),
  ];
}

function deviceLines(devices: DeviceStatus[], { nowMs, columns }: StatusOptions): string[] {
  if (devices.length === 0) return [];
  const rows = devices.map((device) => [
    visible(device.name),
    device.role,
    stateOf(device),
    since(device.since, nowMs),
    visible(device.reason ?? ""),
  ]);
  return [
    "",
    ...table(
      [{ title: "DEVICE" }, { title: "ROLE" }, { title: "STATE" }, { title: "FOR" }, { title: "REASON" }],
      rows,
      columns,
    ),
  ];
}

function stateOf({ available, held, code }: DeviceStatus): string {
  if (available) return held ? "held" : "available";
  if (code === "no_space") return "full";
  return code === "denied" ? "denied" : code === "invalid_config" || code === "unsupported" ? "unusable" : "away";
}

function parkedLines(report: StatusReport, options: StatusOptions): string[] {
  if (report.parkedTotal === 0) return [];
  const lines = ["", `Needs you: ${count(report.parkedTotal, "file")}`];
  let shown = 0;
  for (const group of byReason(report.parked)) {
    const some = group.slice(0, Math.min(SAME_REASON_SHOWN, PARKED_SHOWN - shown));
    if (some.length === 0) break;
    shown += some.length;
    for (const item of some) {
      const where = item.target === undefined ? "" : ` ${arrow(options)} ${visible(item.target)}`;
      const attempts = item.attempts > 1 ? ` (${item.attempts} attempts)` : "";
      lines.push(`  ${item.state} ${visible(item.job)}: ${visible(item.path)}${where}${attempts}`);
    }
    lines.push(`    ${visible(some[0]!.reason)}`);
    if (some[0]!.hint !== undefined) lines.push(`    ${visible(some[0]!.hint)}`);
  }
  const more = report.parkedTotal - shown;
  if (more > 0) lines.push(`  and ${more} more`);
  return lines;
}

/** Nobody is needed for them, but what was delivered is not what one would expect. */
function notedLines({ noted, notedTotal }: StatusReport): string[] {
  if (notedTotal === 0) return [];
  const lines = ["", `As the source has it: ${count(notedTotal, "file")}`];
  for (const { job, path, note } of noted.slice(0, NOTED_SHOWN)) {
    lines.push(`  ${visible(job)}: ${visible(path)}`, `    ${visible(note)}`);
  }
  const more = notedTotal - Math.min(noted.length, NOTED_SHOWN);
  if (more > 0) lines.push(`  and ${more} more`);
  return lines;
}

/** One full folder or one unknown card must not hide what else is wrong: equal reasons are told together. */
function byReason(items: ParkedItem[]): ParkedItem[][] {
  const groups = new Map<string, ParkedItem[]>();
  for (const item of items) {
    const reason = item.path === "" ? item.reason : item.reason.replaceAll(item.path, "");
    const key = JSON.stringify([item.state, item.job, item.target, reason, item.hint]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()];
}

function arrow(options: StatusOptions): string {
  return options.unicode ? "→" : "->";
}

function tally({ count: files, bytes }: Tally): string {
  return files === 0 ? "0" : `${files} (${formatBytes(bytes)})`;
}

function sum(...tallies: Tally[]): Tally {
  return tallies.reduce((all, one) => ({ count: all.count + one.count, bytes: all.bytes + one.bytes }));
}

function since(time: string, nowMs: number): string {
  const ms = nowMs - Date.parse(time);
  return Number.isNaN(ms) ? "-" : ms < 1000 ? "now" : formatDuration(ms);
}
