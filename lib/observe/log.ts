/**
 * The log for people: plain lines on stderr, and a file that rotates. Silent until {@linkcode configureLog}, so that
 * a module may ask for its log when it is loaded. A message that repeats does not flood: it is counted.
 */
import { dirname } from "node:path";
import type { LogRecord, Sink } from "@logtape/logtape";
import type { LogLevel } from "../driver/mod.ts";
import { FileLines } from "./file_lines.ts";
import { startAging } from "./log_age.ts";
import { visible } from "./visible.ts";
import { stderrOutlet } from "./outlet.ts";

/**
 * One scope's log. Messages are one line; control characters in them are shown escaped. A line about one of many files
 * names it as `file`: of many such lines the first are written and the rest are counted, unless all is asked for (`debug`).
 */
export interface Log {
  debug(message: string): void;
  info(message: string, about?: AboutFile): void;
  warning(message: string, about?: AboutFile): void;
  error(message: string, about?: AboutFile): void;
}

/** The file that a line is about, by its path. */
export interface AboutFile {
  file: string;
}

/** One line of the log, as it was told. */
export interface LogLine {
  /** ISO 8601, UTC. */
  time: string;
  level: LogLevel;
  scope: string;
  message: string;
}

/** Where the log goes. */
export interface LogOptions {
  /** The least level that is written. */
  level: LogLevel;
  /** The least level on the console, if it is another one. */
  consoleLevel?: LogLevel;
  /** The log file, absolute; absent: none. Older ones are `<file>.1`, `<file>.2`, ... */
  file?: string;
  /** The file is rotated before it grows over this size. */
  maxBytes: number;
  /** How many older files are kept. */
  keep: number;
  /** Older files that were not written to for so long are removed, ms; absent: none for its age. */
  maxAgeMs?: number;
  /** Whether lines go to stderr. */
  console: boolean;
  /** Lines also go to the console, for a runtime that exports that. */
  telemetry?: boolean;
  /** Lines are JSON objects, in the file and on the console. */
  json?: boolean;
  /** Levels are coloured on the console. */
  colour?: boolean;
  /** Console lines carry the journal's priority (`<3>`) and no time, which the journal adds itself. */
  journal?: boolean;
}

const ORDER: Record<LogLevel, number> = { debug: 0, info: 1, warning: 2, error: 3 };
const COLOUR: Record<LogLevel, string> = { debug: "2", info: "0", warning: "33", error: "31" };
/** syslog(3) priorities. */
const PRIORITY: Record<LogLevel, number> = { debug: 7, info: 6, warning: 4, error: 3 };

/** A run of equal messages is reported at least so often, ms. */
const REPEAT_REPORT_MS = 30_000;
/** Scopes whose last message is remembered; more than a configuration has devices and jobs. */
const SCOPES_MAX = 256;
/** Lines that are kept for who looks later. */
const TAIL_MAX = 200;
/** A log line may be this late in the file, ms: each flush costs the card an fsync. */
const FILE_FLUSH_MS = 1000;

interface Repeat {
  level: LogLevel;
  message: string;
  count: number;
  timer?: ReturnType<typeof setTimeout>;
}

interface Active {
  least: number;
  write(level: LogLevel, scope: string, message: string): void;
  close(): Promise<void>;
}

let active: Active | undefined;
let consoleWriter: (text: string) => void = writeToStderr;
const repeats = new Map<string, Repeat>();
const fileLines = new FileLines(tell);
const tail: LogLine[] = [];

function writeToStderr(text: string): void {
  stderrOutlet().write(text);
}

/** Puts console lines elsewhere, for live lines that must stay below them; without an argument back to stderr. */
export function setConsoleWriter(write: (text: string) => void = writeToStderr): void {
  consoleWriter = write;
}

/** The last lines of level info and above, the oldest first; at most 200. */
export function logTail(): LogLine[] {
  return [...tail];
}

/** The log of one scope: a station, a job, a device. May be asked for before the log is configured. */
export function logFor(scope: string): Log {
  return {
    debug: (message) => log("debug", scope, message),
    info: (message, about) => log("info", scope, message, about),
    warning: (message, about) => log("warning", scope, message, about),
    error: (message, about) => log("error", scope, message, about),
  };
}

function log(level: LogLevel, scope: string, message: string, about?: AboutFile): void {
  if (active === undefined || ORDER[level] < active.least) return;
  if (about === undefined || active.least === ORDER.debug) tell(level, scope, message);
  else fileLines.tell(level, scope, message, about.file);
}

function tell(level: LogLevel, scope: string, message: string): void {
  if (active === undefined) return;
  const last = repeats.get(scope);
  if (last !== undefined) {
    if (last.level === level && last.message === message) {
      last.count++;
      last.timer ??= startTimer(scope, last);
      return;
    }
    report(scope, last);
    repeats.delete(scope);
  } else if (repeats.size >= SCOPES_MAX) {
    const [oldest, repeat] = repeats.entries().next().value!;
    report(oldest, repeat);
    repeats.delete(oldest);
  }
  repeats.set(scope, { level, message, count: 0 });
  active.write(level, scope, message);
}

function startTimer(scope: string, repeat: Repeat): ReturnType<typeof setTimeout> {
  const timer = setTimeout(() => report(scope, repeat), REPEAT_REPORT_MS);
  Deno.unrefTimer(timer as unknown as number);
  return timer;
}

function report(scope: string, repeat: Repeat): void {
  clearTimeout(repeat.timer);
  delete repeat.timer;
  if (repeat.count === 0) return;
  const times = repeat.count === 1 ? "once more" : `${repeat.count} times`;
  repeat.count = 0;
  active?.write(repeat.level, scope, `Last message repeated ${times}`);
}

/**
 * Starts the log, or starts it anew with other options. A log file that cannot be written is told on the console, and
 * the program goes on without it.
 */
export async function configureLog(options: LogOptions): Promise<void> {
  await closeLog();
  // Loaded here, because `version` and a plugin must not pay for it.
  const logtape = await import("@logtape/logtape");
  const sinks: Record<string, Sink> = {};
  const consoleLevel = options.consoleLevel ?? options.level;
  const leasts: number[] = [];
  if (options.console) {
    sinks["console"] = logtape.withFilter(
      (record: LogRecord) => consoleWriter(consoleLine(record, options)),
      consoleLevel,
    );
    leasts.push(ORDER[consoleLevel]);
  }
  if (options.telemetry === true) {
    sinks["telemetry"] = logtape.withFilter(tellConsole, options.level);
    leasts.push(ORDER[options.level]);
  }
  let failure: string | undefined;
  let stopAging = () => {};
  if (options.file !== undefined) {
    try {
      const { getRotatingFileSink } = await import("@logtape/file");
      await Deno.mkdir(dirname(options.file), { recursive: true });
      const sink = getRotatingFileSink(options.file, {
        maxSize: options.maxBytes,
        maxFiles: options.keep,
        nonBlocking: true,
        flushInterval: FILE_FLUSH_MS,
        formatter: (record) => fileLine(record, options),
      });
      // withFilter() would hide the sink's disposal, which writes the last lines.
      const least = ORDER[options.level];
      const filtered = (record: LogRecord) => {
        if (ORDER[record.level as LogLevel] >= least) sink(record);
      };
      sinks["file"] = Object.assign(filtered, {
        [Symbol.asyncDispose]: () => (sink as unknown as AsyncDisposable)[Symbol.asyncDispose](),
      });
      leasts.push(least);
      stopAging = startAging(options.file, options);
    } catch (error) {
      failure = `Cannot write the log file "${options.file}": ${error instanceof Error ? error.message : error}`;
    }
  }
  await logtape.configure({
    reset: true,
    sinks,
    loggers: [
      { category: "filesync", sinks: Object.keys(sinks), lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: [] },
    ],
  });
  if (leasts.length > 0) {
    active = {
      least: Math.min(...leasts),
      // As a property: a template's braces are taken apart, and a file's name may have some.
      write: (level, scope, text) => {
        keep(level, scope, text);
        logtape.getLogger(["filesync", scope])[level]("{text}", { text });
      },
      close: () => {
        stopAging();
        return logtape.reset();
      },
    };
  }
  if (failure !== undefined) logFor("log").warning(failure);
}

function keep(level: LogLevel, scope: string, text: string): void {
  if (ORDER[level] < ORDER.info) return;
  tail.push({ time: new Date().toISOString(), level, scope: visible(scope), message: visible(text) });
  if (tail.length > TAIL_MAX) tail.shift();
}

/** Writes what is still to be written and falls silent. */
export async function closeLog(): Promise<void> {
  fileLines.end();
  for (const [scope, repeat] of repeats) report(scope, repeat);
  repeats.clear();
  const closing = active;
  active = undefined;
  await closing?.close();
}

function parts(record: LogRecord): { level: LogLevel; scope: string; message: string } {
  return {
    level: record.level as LogLevel,
    scope: visible(record.category[1] ?? ""),
    message: visible(String(record.properties["text"])),
  };
}

/** With the level as the function that is called. */
function tellConsole(record: LogRecord): void {
  const { level, scope, message } = parts(record);
  console[level === "warning" ? "warn" : level](`${scope}: ${message}`);
}

function consoleLine(record: LogRecord, options: LogOptions): string {
  const { level, scope, message } = parts(record);
  if (options.json === true) return jsonLine(record);
  if (options.journal === true) return `<${PRIORITY[level]}>${scope}: ${message}\n`;
  const time = new Date(record.timestamp).toTimeString().slice(0, 8);
  const word = options.colour === true && level !== "info" ? `\x1b[${COLOUR[level]}m${level}\x1b[0m` : level;
  return `${time} ${word} ${scope}: ${message}\n`;
}

function fileLine(record: LogRecord, options: LogOptions): string {
  if (options.json === true) return jsonLine(record);
  const { level, scope, message } = parts(record);
  return `${new Date(record.timestamp).toISOString()} ${level} ${scope}: ${message}\n`;
}

function jsonLine(record: LogRecord): string {
  const time = new Date(record.timestamp).toISOString();
  const message = String(record.properties["text"]);
  return JSON.stringify({ time, level: record.level, scope: record.category[1] ?? "", message }) + "\n";
}
