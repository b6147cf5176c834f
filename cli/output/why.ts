/** `filesync why` for people: one screen on one path. */
import type { DeliveryFacts, ErrorFacts, FileHistory, GenerationFacts, WhyReport } from "../../lib/engine/mod.ts";
import { type DeviceStatus, visible } from "../../lib/observe/mod.ts";
import { count, formatBytes, formatDuration, formatTime } from "./format.ts";
import { wrapAll } from "./wrap.ts";

export interface WhyOptions {
  unicode: boolean;
  nowMs: number;
  /** Of the terminal; absent: lines are as long as they are. */
  columns?: number | undefined;
}

/** What each state means for the file. */
const FILE_WORDS: Record<string, string> = {
  found: "waits to be fetched from the source",
  downloading: "is being fetched from the source",
  spooled: "lies in the spool",
  done: "is done",
  parked: "is parked: it is not tried again until told",
  gone: "vanished from the source before it was fetched",
};

const VERIFIED: Record<string, string> = {
  checksum: "checksum verified",
  size: "size verified",
  accepted: "accepted",
  none: "not verified",
};

/** Lines without line ends. */
export function whyLines(report: WhyReport, options: WhyOptions): string[] {
  const lines: string[] = [];
  for (const history of report.histories) {
    if (lines.length > 0) lines.push("");
    lines.push(`${visible(history.path)}  (job "${visible(history.job)}", source ${visible(history.deviceId)})`);
    for (const file of history.generations) lines.push(...generationLines(file, history, report, options));
    const more = history.generationCount - history.generations.length;
    if (more > 0) lines.push(`  and ${count(more, "older generation")}`);
  }
  const waits = report.histories.some(({ generations }) => generations.some(isOpen));
  if (waits) {
    lines.push("", report.pid === undefined ? "sync is not running" : `sync runs as process ${report.pid}`);
    for (const device of report.closed) lines.push(closedLine(device, options));
  }
  return wrapAll(lines, options.columns);
}

function isOpen({ state, deliveries }: GenerationFacts): boolean {
  return ["found", "downloading", "spooled"].includes(state) ||
    deliveries.some((delivery) => ["waiting", "uploading"].includes(delivery.state) && !delivery.retired);
}

function closedLine(device: DeviceStatus, { nowMs }: WhyOptions): string {
  const state = device.available ? "held" : "away";
  const reason = device.reason === undefined ? "" : `: ${visible(device.reason)}`;
  return `${visible(device.name)} (${device.role}) is ${state} for ${ago(device.since, nowMs)}${reason}`;
}

function generationLines(
  file: GenerationFacts,
  history: FileHistory,
  report: WhyReport,
  options: WhyOptions,
): string[] {
  const { sizeBytes, modified, etag, checksum } = file.fingerprint;
  const facts = [
    ...(sizeBytes === undefined ? ["size unknown"] : [formatBytes(sizeBytes)]),
    ...(modified === undefined ? [] : [`modified ${time(modified)}`]),
    ...(etag === undefined ? [] : [`etag ${visible(etag)}`]),
    ...(checksum === undefined ? [] : [visible(checksum)]),
    `found ${time(file.found)}`,
  ];
  const newest = history.generationCount === 1 || file.latest ? "" : ", replaced by a newer one";
  const lines = [`  Generation ${file.generation}${newest}: ${facts.join(", ")}`];
  lines.push(`    ${stateWords(file)}, since ${time(file.since)} (${ago(file.since, options.nowMs)})`);
  if (file.attempts > 0 && file.state !== "done") lines.push(`    ${count(file.attempts, "failed attempt")}`);
  lines.push(...errorLines(file.error, file.state === "done", "    "));
  if (file.retryAtMs !== undefined) lines.push(`    next try ${nextTry(file.retryAtMs, report)}`);
  if (file.note !== undefined) lines.push(`    its source says: ${visible(file.note)}`);
  if (file.sha256 !== undefined) lines.push(`    sha256 ${file.sha256}`);
  const copy = report.copies.get(file.id);
  if (copy !== undefined) {
    lines.push(
      `    in the spool: ${visible(copy.path)} (${copy.isWhole ? "whole" : "a part"}, ${formatBytes(copy.sizeBytes)})`,
    );
  }
  if (file.resentBytes > 0) lines.push(`    fetched more than once: ${formatBytes(file.resentBytes)}`);
  for (const delivery of file.deliveries) {
    lines.push(...deliveryLines(delivery, takerOf(delivery, file, history), report, options));
  }
  lines.push(`    source's copy: ${sourceWords(file)}`);
  return lines;
}

function stateWords(file: GenerationFacts): string {
  if (file.state === "gone" && file.error?.code === "forgotten") return "is forgotten: it is not tried again";
  if (file.state === "gone" && !file.latest) return "was replaced before it was fetched";
  if (file.shelved) return "left the full spool for others: it is fetched again when its target is back";
  return FILE_WORDS[file.state] ?? file.state;
}

function sourceWords(file: GenerationFacts): string {
  const why = file.removal === undefined ? "" : `: ${visible(file.removal)}`;
  switch (file.sourceCopy) {
    case "due":
      return `removed in ${formatDuration(file.dueInMs ?? 0)}`;
    case "removed":
      return file.removal === undefined ? "removed" : `removed ${time(file.removal)}`;
    case "refused":
      return `not removed${why}`;
    default:
      return "kept";
  }
}

/** Whose the name is that a delivery asked for, where it got another one. */
function takerOf({ target, askedPath, receipt }: DeliveryFacts, file: GenerationFacts, history: FileHistory): string {
  const isOurs = history.generations.some(({ generation, deliveries }) =>
    generation < file.generation && receipt !== undefined &&
    deliveries.some((older) => older.target === target && older.receipt?.path === askedPath)
  );
  return isOurs ? "which an older generation has" : "which was taken";
}

function deliveryLines(
  delivery: DeliveryFacts,
  taker: string,
  report: WhyReport,
  options: WhyOptions,
): string[] {
  const arrow = options.unicode ? "→" : "->";
  const { receipt, askedPath } = delivery;
  const name = receipt?.path ?? askedPath;
  const as = name === undefined ? "" : ` as "${visible(name)}"`;
  const retired = delivery.retired ? " (not in the configuration any more)" : "";
  const lines = [
    `    ${arrow} ${visible(delivery.target)}${retired}: ${delivery.state}${as}, since ${time(delivery.since)} (${
      ago(delivery.since, options.nowMs)
    })`,
  ];
  if (receipt !== undefined) {
    const sum = receipt.checksum === undefined ? "" : `, ${visible(receipt.checksum)}`;
    lines.push(
      `        receipt: ${formatBytes(receipt.sizeBytes)}, ${VERIFIED[receipt.verified] ?? receipt.verified}${sum}`,
    );
    if (receipt.sha256 !== undefined) lines.push(`        sha256 sent: ${receipt.sha256}`);
    if (receipt.url !== undefined) lines.push(`        ${visible(receipt.url)}`);
    if (askedPath !== undefined && askedPath !== receipt.path) {
      lines.push(`        asked for "${visible(askedPath)}", ${taker}`);
    }
  }
  if (delivery.attempts > 0) lines.push(`        ${count(delivery.attempts, "failed attempt")}`);
  if (receipt === undefined) lines.push(...errorLines(delivery.error, false, "        "));
  if (delivery.started && delivery.state === "waiting") {
    lines.push("        an upload was begun: the target is asked whether it landed before it is sent again");
  }
  if (delivery.retryAtMs !== undefined) lines.push(`        next try ${nextTry(delivery.retryAtMs, report)}`);
  if (delivery.resentBytes > 0) lines.push(`        sent more than once: ${formatBytes(delivery.resentBytes)}`);
  return lines;
}

function errorLines(error: ErrorFacts | undefined, isOver: boolean, indent: string): string[] {
  if (error === undefined || isOver || error.reason === "") return [];
  const code = error.code === "" || error.code === "forgotten" ? "" : `${visible(error.code)}: `;
  return [
    `${indent}last error: ${code}${visible(error.reason)}`,
    ...(error.hint === undefined ? [] : [`${indent}  ${visible(error.hint)}`]),
  ];
}

/** A back-off belongs to the clock of the process that syncs, and ends with it. */
function nextTry(retryAtMs: number, { pid, nowMs }: WhyReport): string {
  if (pid === undefined) return "at the next start";
  if (nowMs === undefined) return "when its back-off ends";
  return retryAtMs <= nowMs ? "now" : `in ${formatDuration(retryAtMs - nowMs)}`;
}

function time(iso: string): string {
  return formatTime(Date.parse(iso));
}

function ago(iso: string, nowMs: number): string {
  const ms = nowMs - Date.parse(iso);
  return Number.isNaN(ms) ? "-" : formatDuration(Math.max(0, ms));
}
