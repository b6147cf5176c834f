/** Links that say nothing: bytes that stop, peers that are gone without a word, servers that are away for long. */
import { FTP_SERVER_KINDS, type FtpServerKind } from "../../support/ftp_servers.ts";
import type { FtpWire, WireHooks } from "../../support/ftp_wire.ts";
import { Pipeline, RESENT_ALL_BYTES, RESENT_FILE_BYTES } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

const PROTOCOLS = ["local->ftp", "ftp->local", "ftp->ftp"] as const;

/** Longest that anything may take to be noticed and mended, milliseconds. */
const PATIENCE_MS = 300_000;

interface Run {
  protocol: string;
  kind: FtpServerKind;
  random: () => number;
  options: RunOptions;
}

/** Runs `one` for a server that the seed picks, or for each. */
async function forServers(
  protocol: string,
  options: RunOptions,
  one: (run: Run) => Promise<Outcome>,
): Promise<Outcome> {
  const random = seededRandom(options.seed);
  const quick = FTP_SERVER_KINDS.filter((kind) => one !== gone || kind !== "vsftpd");
  const picked = quick[Math.floor(random() * quick.length)]!;
  const kinds = options.scale === "full" ? FTP_SERVER_KINDS : [picked];
  const sum = emptyOutcome();
  // They mostly wait, so they wait together.
  for (const outcome of await Promise.all(kinds.map((kind) => one({ protocol, kind, random, options })))) {
    addOutcome(sum, outcome);
  }
  return sum;
}

function wiresOf({ source, target }: Pipeline): FtpWire[] {
  return [source, target].flatMap(({ ftp }) => ftp === undefined ? [] : [ftp.wire]);
}

/** The first transfer of each file and direction stops in its middle, and its connections stay. */
async function stall({ protocol, kind, random, options }: Run): Promise<Outcome> {
  let count = 0;
  const hooksFor = (verbs: RegExp): WireHooks => {
    const met = new Set<string>();
    return {
      onTransfer: ({ verb, path }) => {
        const file = verbs.test(verb) ? pipeline.fileOf(path) : undefined;
        if (file === undefined || met.has(file.path)) return undefined;
        met.add(file.path);
        count++;
        return { atByte: Math.floor(file.sizeBytes * (0.1 + 0.8 * random())), how: "stall" };
      },
    };
  };
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal: options.signal,
    files: { "one.bin": 1_500_000, ...(options.scale === "full" ? { "two.bin": 2_500_000 } : {}) },
    source: { ftp: { kind, hooks: hooksFor(/^RETR$/) } },
    target: { ftp: { kind, hooks: hooksFor(/^STOR$/) } },
  });
  pipeline.start();
  await pipeline.untilDelivered(2 * PATIENCE_MS);
  return await pipeline.finish({ runs: count, resentLimitBytes: count * RESENT_FILE_BYTES, notes: [kind] });
}

/**
 * Nothing passes any more, in the middle of files; after a while new connections work, the old ones never again.
 * vsftpd locks a file that is uploaded, so that the next upload to it waits until the server has given up the session
 * that is gone, after 300 s: for the full scale only.
 */
async function gone({ protocol, kind, random, options }: Run): Promise<Outcome> {
  const awayMs = options.scale === "full" ? 180_000 : 5_000;
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal: options.signal,
    files: { "one.bin": 1_500_000, "two.bin": 2_500_000, "three.bin": 40_000 },
    source: { ftp: { kind, bytesPerSecond: 2_000_000 } },
    target: { ftp: { kind, bytesPerSecond: 2_000_000 } },
  });
  const wires = wiresOf(pipeline);
  pipeline.start();
  const movedBytes = () => wires.at(-1)!.transfers.reduce((sum, { bytes }) => sum + bytes, 0);
  const isMoving = await pipeline.until(() => movedBytes() > 400_000 * (1 + random()), 60_000);
  wires.forEach((wire) => wire.silence());
  await pipeline.until(() => false, awayMs);
  wires.forEach((wire) => wire.heal());
  await pipeline.untilDelivered(kind === "vsftpd" ? 3 * PATIENCE_MS : PATIENCE_MS);
  return await pipeline.finish({
    runs: isMoving ? 1 : 0,
    resentLimitBytes: RESENT_ALL_BYTES,
    logLinesMax: 25,
    notes: [kind],
  });
}

/** The server is not there from the beginning, and comes late: a handful of lines. */
async function away({ protocol, kind, random, options }: Run): Promise<Outcome> {
  const awayMs = options.scale === "full" ? 600_000 : 15_000;
  const hooks = (): WireHooks => ({ onConnect: () => "reset" });
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal: options.signal,
    files: { "one.bin": 1_500_000, "two.bin": 30_000 },
    source: { ftp: { kind, hooks: hooks() } },
    target: { ftp: { kind, hooks: hooks() } },
  });
  pipeline.start();
  await pipeline.until(() => false, awayMs);
  const triesCount = wiresOf(pipeline).reduce((sum, wire) => sum + wire.connectionsCount, 0);
  for (const wire of wiresOf(pipeline)) wire.hooks = {};
  await pipeline.untilDelivered(PATIENCE_MS);
  return await pipeline.finish({ runs: triesCount, resentLimitBytes: 0, logLinesMax: 12, notes: [kind] });
}

function row(name: string, fault: string, one: (run: Run) => Promise<Outcome>): Scenario {
  return {
    name,
    fault,
    protocols: PROTOCOLS,
    needs: FTP_SERVER_KINDS,
    patient: true,
    run: (protocol, options) => forServers(protocol, options, one),
  };
}

export const SILENCES: readonly Scenario[] = [
  row("stall", "bytes stop in the middle of a file, the connections stay", stall),
  row("half-open", "the peer is gone without a word, and comes back", gone),
  row("away", "a server that is away, then comes", away),
];
