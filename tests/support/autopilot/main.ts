/**
 * Starts a simulated autopilot by hand: `deno run -A tests/support/autopilot/main.ts --help`. It runs until Ctrl+C, or
 * until its stdin ends when a program has started it, and takes commands by the line: `help` names them.
 */
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { type Autopilot, type AutopilotOptions, Files, PERSONALITIES, sampleCard, startAutopilot } from "./mod.ts";
import type { PersonalityName, TransportOptions } from "./mod.ts";

const HELP = `Usage: deno run -A tests/support/autopilot/main.ts [options]

A simulated autopilot with MAVLink FTP and sample logs.

  --personality NAME     ${Object.keys(PERSONALITIES).join(", ")} (default px4-main)
  --udp PORT             send to this port of 127.0.0.1 (default 14550)
  --udp-listen PORT      wait on this port to be spoken to
  --tcp PORT             wait on this port for connections
  --serial               a pty, with a link as in /dev/serial/by-id (needs socat)
  --baud N               rate of the serial line (default 921600)
  --dir DIR              files of the card: a real directory, below the log root
  --logs N  --size BYTES sample logs instead: how many, and the largest (default 3 and 2097152)
  --rate BYTES           bytes a second from the vehicle     --latency MS   one way
  --loss P               share of packets lost each way      --jitter MS
  --radio                a telemetry radio on the link (2000 B/s, 200 ms, RADIO_STATUS)
  --system-id N          (default 1)      --uid HEX       --signing-key HEX (64 digits)
  --armed                armed from the start; --arm-after BYTES arms when so much was sent, and says so at once
  --heartbeat-on-arm     says at once that it is armed or disarmed
  --no-traffic           no other messages but heartbeats
  --seed N               repeats a run (default 1)
  --json                 first line of output is {"url", "port", "path", "files"}; ends with stdin

Commands: arm, disarm, reboot, unplug, replug, stats, help, quit
`;

const OPTIONS = {
  personality: { type: "string", default: "px4-main" },
  udp: { type: "string" },
  "udp-listen": { type: "string" },
  tcp: { type: "string" },
  serial: { type: "boolean" },
  baud: { type: "string", default: "921600" },
  dir: { type: "string" },
  logs: { type: "string", default: "3" },
  size: { type: "string", default: "2097152" },
  rate: { type: "string" },
  latency: { type: "string", default: "0" },
  jitter: { type: "string", default: "0" },
  loss: { type: "string", default: "0" },
  radio: { type: "boolean", default: false },
  "system-id": { type: "string", default: "1" },
  uid: { type: "string" },
  "signing-key": { type: "string" },
  armed: { type: "boolean", default: false },
  "arm-after": { type: "string" },
  "heartbeat-on-arm": { type: "boolean", default: false },
  "no-traffic": { type: "boolean", default: false },
  seed: { type: "string", default: "1" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h" },
} as const;

type Values = ReturnType<typeof parse>;

function parse(args: string[]) {
  return parseArgs({ args, options: OPTIONS }).values;
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0) {
    throw new TypeError(`Option --${name} wants a number: "${text}"`);
  }
  return value;
}

function transportOf(values: Values): TransportOptions {
  if (values.serial === true) return { kind: "serial", baud: number("baud", values.baud) };
  if (values.tcp !== undefined) return { kind: "tcp", port: number("tcp", values.tcp) };
  const listen = values["udp-listen"];
  if (listen !== undefined) return { kind: "udp-listen", port: number("udp-listen", listen) };
  return { kind: "udp", to: number("udp", values.udp ?? "14550") };
}

/** The options of the simulator that the command line means. */
export function optionsOf(values: Values): AutopilotOptions {
  const personality = values.personality as PersonalityName;
  if (PERSONALITIES[personality] === undefined) throw new TypeError(`There is no personality "${personality}"`);
  const seed = number("seed", values.seed);
  const files = values.dir !== undefined
    ? Files.ofDirectory(values.dir, PERSONALITIES[personality].logRoot)
    : sampleCard(personality, { count: number("logs", values.logs), sizeBytes: number("size", values.size), seed });
  const way = {
    latencyMs: number("latency", values.latency) + (values.radio ? 200 : 0),
    jitterMs: number("jitter", values.jitter),
    loss: number("loss", values.loss),
    ...(values.radio ? { bytesPerSecond: 2000, frameBytes: 252 } : {}),
  };
  const key = values["signing-key"];
  return {
    personality,
    transport: transportOf(values),
    files,
    seed,
    armed: values.armed,
    heartbeatOnArm: values["heartbeat-on-arm"] || values["arm-after"] !== undefined,
    ...(values["no-traffic"] ? { traffic: { attitude: 0, position: 0 } } : {}),
    systemId: number("system-id", values["system-id"]),
    link: {
      up: way,
      down: { ...way, ...(values.rate === undefined ? {} : { bytesPerSecond: number("rate", values.rate) }) },
      ...(values.radio ? { radio: { bufferBytes: 4096 } } : {}),
    },
    ...(values.uid === undefined ? {} : { uid: BigInt(`0x${values.uid}`) }),
    ...(values["arm-after"] === undefined ? {} : { armAtDataBytes: number("arm-after", values["arm-after"]) }),
    ...(key === undefined ? {} : { signing: { key: Uint8Array.fromHex(key) } }),
  };
}

/** Kinds of requests that come once or twice in a transfer. */
const IS_LANDMARK = (opcode: string) => opcode !== "ReadFile" && opcode !== "BurstReadFile" && opcode !== "None";

/** What was counted since the start, as a program that watches wants it. */
function statsOf(autopilot: Autopilot) {
  const { stats, core } = autopilot;
  const { requestCounts, dataBytes, dataPackets, lostForRoom, heartbeats, armedHeartbeats, lastDataMs, events } = stats;
  return {
    nowMs: autopilot.nowMs(),
    requestCounts,
    landmarks: stats.requests.filter(({ opcode }) => IS_LANDMARK(opcode)).map(({ atMs, opcode }) => ({ atMs, opcode })),
    lastRequestMs: stats.requests.findLast(({ opcode }) => opcode !== "TerminateSession")?.atMs,
    dataBytes,
    dataPackets,
    lastDataMs,
    lostForRoom,
    heartbeats,
    armedHeartbeats,
    events: events.slice(-100),
    down: core.down.counts,
    up: core.up.counts,
  };
}

export type VehicleStats = ReturnType<typeof statsOf>;

async function obey(autopilot: Autopilot, command: string): Promise<boolean> {
  switch (command) {
    case "arm":
    case "disarm":
      autopilot[command]();
      return true;
    case "reboot":
      await autopilot.reboot();
      return true;
    case "unplug":
    case "replug":
      await autopilot[command]();
      return true;
    case "stats":
      console.log(JSON.stringify(statsOf(autopilot)));
      return true;
    case "quit":
      return false;
    case "":
      return true;
    default:
      console.log("arm, disarm, reboot, unplug, replug, stats, quit");
      return true;
  }
}

/** What is on the card, so that whoever fetched it can compare. */
function filesOf({ files }: Autopilot): { path: string; sizeBytes: number; sha256: string }[] {
  return files.paths().map((path) => {
    const bytes = files.bytes(path);
    return { path, sizeBytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  });
}

async function main(args: string[]): Promise<number> {
  let values: Values;
  let autopilot: Autopilot;
  try {
    values = parse(args);
    if (values.help === true) {
      console.log(HELP);
      return 0;
    }
    autopilot = await startAutopilot(optionsOf(values));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 2;
  }
  const { url, port, path } = autopilot;
  if (values.json) console.log(JSON.stringify({ url, port, path, files: filesOf(autopilot) }));
  else {
    console.log(`${values.personality} as system ${values["system-id"]}; the driver mavftp reaches it by ${url}`);
    for (const file of autopilot.files.paths()) {
      console.log(`  ${autopilot.files.file(file)!.content.sizeBytes} B  ${file}`);
    }
  }
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  const commands = async () => {
    for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
      for (const line of chunk.split("\n")) if (!await obey(autopilot, line.trim())) return stop();
    }
    if (values.json) stop();
  };
  commands();
  await stopped.promise;
  await autopilot.stop();
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
