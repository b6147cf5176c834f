/** `filesync status --watch`: how things stand and what moves, on the whole screen, until it is stopped. */
import type { Config } from "../../lib/config/types.ts";
import { readMoving, readStatus } from "../../lib/engine/mod.ts";
import { Bell } from "../../lib/driver/signals.ts";
import { type MovingFile, type StatusReport, writeAllSync } from "../../lib/observe/mod.ts";
import type { Context } from "../context.ts";
import { Painter } from "../output/painter.ts";
import { screenLines } from "../output/screen.ts";
import { statusLines } from "../output/status.ts";
import { terminalSize } from "../output/terminal.ts";

/** How often it is looked, milliseconds. */
const LOOK_MS = 1000;
/** The terminal's other screen: what was on this one comes back at the end. */
const OTHER_SCREEN = "\x1b[?1049h\x1b[H";
const OWN_SCREEN = "\x1b[?1049l";

/** Shows until SIGINT or SIGTERM, which is how it ends. */
export async function watch(context: Context, config: Config, json: boolean): Promise<number> {
  const stop = new AbortController();
  const ring = new Bell();
  const end = () => stop.abort();
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, end);
  try {
    return json || !Deno.stdout.isTerminal()
      ? await tellChanges(context, config, json, stop.signal)
      : await paint(context, config, stop.signal, ring);
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, end);
  }
}

/** For a pipe or a program: the whole report, each time that it has changed. */
async function tellChanges(context: Context, config: Config, json: boolean, signal: AbortSignal): Promise<number> {
  let told = "";
  for (let isRead = true; isRead && !signal.aborted; await new Bell().wait(signal, LOOK_MS)) {
    const report = readStatus(config);
    const { time: _, ...rest } = report;
    const now = JSON.stringify(rest);
    if (now === told) continue;
    const { unicode } = context.terminal;
    isRead = json
      ? context.printJson(report)
      : context.print([...statusLines(report, { colour: false, unicode, nowMs: Date.now() }), ""].join("\n"));
    told = now;
  }
  return 0;
}

async function paint(context: Context, config: Config, signal: AbortSignal, ring: Bell): Promise<number> {
  const { stdoutColour: colour, unicode } = context.terminal;
  const painter = new Painter({ write: writeToStdout, size: terminalSize });
  const resized = () => ring.ring();
  Deno.addSignalListener("SIGWINCH", resized);
  writeAllSync(Deno.stdout, OTHER_SCREEN);
  let report: StatusReport | undefined;
  let moving: MovingFile[] = [];
  try {
    while (!signal.aborted) {
      [report, moving] = [readStatus(config), await readMoving(config)];
      painter.paint(screenLines(report, moving, { ...terminalSize(), colour, unicode, nowMs: Date.now() }));
      await ring.wait(signal, LOOK_MS);
    }
  } finally {
    Deno.removeSignalListener("SIGWINCH", resized);
    await painter.end();
    writeAllSync(Deno.stdout, OWN_SCREEN);
  }
  // What was seen last stays.
  for (const line of report === undefined ? [] : statusLines(report, { colour, unicode, nowMs: Date.now() })) {
    if (!context.print(line)) break;
  }
  return 0;
}

async function writeToStdout(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
