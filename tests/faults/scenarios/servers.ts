/** Servers that die, are full, crowded, slow, or cannot go on with an upload. */
import { FTP_SERVER_KINDS, type FtpServerKind, type FtpServerOptions } from "../../support/ftp_servers.ts";
import type { WireHooks } from "../../support/ftp_wire.ts";
import type { FtpEnd } from "../ends.ts";
import { type FinishOptions, Pipeline, RESENT_ALL_BYTES, RESENT_FILE_BYTES } from "../pipeline.ts";
import {
  addOutcome,
  eachOf,
  emptyOutcome,
  type Outcome,
  type RunOptions,
  type Scenario,
  seededRandom,
} from "../scenario.ts";

const PROTOCOLS = ["local->ftp", "ftp->local", "ftp->ftp"] as const;
const TARGETS = ["local->ftp", "ftp->ftp"] as const;

const FILES = { "one.bin": 1_200_000, "two.bin": 2_000_000, "day/three.ulg": 50_000, "day/four.ulg": 700_000 };

interface Trouble {
  protocol: string;
  kind: FtpServerKind;
  random: () => number;
  options: RunOptions;
  /** For the source and for the target. */
  source?: WireHooks;
  target?: WireHooks;
  server?: Partial<FtpServerOptions>;
  bytesPerSecond?: number;
  /** Done while the program runs. */
  harm?: (pipeline: Pipeline) => Promise<void>;
  /** Asked at the end. */
  end: () => Pick<FinishOptions, "runs" | "resentLimitBytes">;
  onOpen?: (pipeline: Pipeline) => void;
}

async function trouble({ protocol, kind, random, options, ...more }: Trouble): Promise<Outcome> {
  const wire = {
    kind,
    ...(more.server === undefined ? {} : { server: more.server }),
    ...(more.bytesPerSecond === undefined ? {} : { bytesPerSecond: more.bytesPerSecond }),
  };
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal: options.signal,
    files: FILES,
    source: { ftp: { ...wire, ...(more.source === undefined ? {} : { hooks: more.source }) } },
    target: { ftp: { ...wire, ...(more.target === undefined ? {} : { hooks: more.target }) } },
  });
  more.onOpen?.(pipeline);
  pipeline.start();
  await more.harm?.(pipeline);
  await pipeline.untilDelivered(900_000);
  return await pipeline.finish({ ...more.end(), notes: [kind] });
}

type One = (protocol: string, kind: FtpServerKind, random: () => number, options: RunOptions) => Promise<Outcome>;

interface RowOptions {
  protocols?: readonly string[];
  kinds?: readonly FtpServerKind[];
  patient?: boolean;
}

function row(name: string, fault: string, one: One, rowOptions: RowOptions = {}): Scenario {
  const { protocols = PROTOCOLS, kinds = FTP_SERVER_KINDS, patient = false } = rowOptions;
  return {
    name,
    fault,
    protocols,
    needs: kinds,
    patient,
    async run(protocol, options) {
      const random = seededRandom(options.seed);
      const picked = kinds[Math.floor(random() * kinds.length)]!;
      const sum = emptyOutcome();
      const work = async (kind: FtpServerKind) => {
        addOutcome(sum, await one(protocol, kind, seededRandom(Math.floor(random() * 2 ** 31)), options));
        options.tell(`${kind}: ${sum.runs}`);
      };
      await eachOf(options.scale === "full" ? kinds : [picked], work, patient);
      return sum;
    },
  };
}

/** Killed with all its connections while bytes move, and started again on its port with what it had written. */
const killed: One = (protocol, kind, random, options) => {
  const timesMax = options.scale === "full" ? 12 : 2;
  let count = 0;
  return trouble({
    protocol,
    kind,
    random,
    options,
    bytesPerSecond: options.scale === "full" ? 400_000 : 1_500_000,
    harm: async (pipeline) => {
      const ends = [pipeline.source.ftp, pipeline.target.ftp].filter((end): end is FtpEnd => end !== undefined);
      const movedBytes = () => ends.flatMap(({ wire }) => wire.transfers).reduce((sum, { bytes }) => sum + bytes, 0);
      while (count < timesMax) {
        const beforeBytes = movedBytes();
        const stepBytes = 100_000 + random() * 300_000;
        if (!await pipeline.until(() => movedBytes() > beforeBytes + stepBytes, 120_000)) return;
        const end = ends[Math.floor(random() * ends.length)]!;
        await end.kill();
        await pipeline.until(() => false, random() * 1500);
        await end.restart();
        count++;
      }
    },
    end: () => ({ runs: count, resentLimitBytes: count * RESENT_ALL_BYTES }),
  });
};

/** Takes one connection where four are wanted; and says "too many" to the first that come. */
const crowded: One = (protocol, kind, random, options) => {
  let count = 0;
  const hooks = (): WireHooks => {
    let leftCount = 2;
    return {
      onConnect: () => {
        if (leftCount === 0) return undefined;
        leftCount--;
        count++;
        return "421 Too many connections (8) from this IP";
      },
    };
  };
  return trouble({
    protocol,
    kind,
    random,
    options,
    source: hooks(),
    target: hooks(),
    server: { maxPerHost: 1 },
    end: () => ({ runs: count, resentLimitBytes: 0 }),
  });
};

/** No room: before a byte, and in the middle of a file. */
const full: One = (protocol, kind, random, options) => {
  let count = 0;
  let isBegun = false;
  let isMiddle = false;
  return trouble({
    protocol,
    kind,
    random,
    options,
    target: {
      onCommand: (line) => {
        if (isBegun || !line.startsWith("STOR")) return undefined;
        isBegun = true;
        count++;
        return random() < 0.5 ? "552 Disk full." : "452 Insufficient storage space in system.";
      },
      onTransfer: ({ verb, startByte }) => {
        if (isMiddle || verb !== "STOR" || startByte > 0) return undefined;
        isMiddle = true;
        return { atByte: 30_000 + Math.floor(random() * 10_000), how: "cut" };
      },
      onReply: (verb, reply) => {
        if (verb !== "STOR" || !isMiddle || count !== 1 || reply.startsWith("1")) return reply;
        count++;
        return "452 Insufficient storage space in system.";
      },
    },
    end: () => ({ runs: count, resentLimitBytes: 2 * RESENT_FILE_BYTES }),
  });
};

/** Where an answer is late: the command, and the first digit of its reply. Each is met by every server. */
const LATE_ANSWERS: Record<"source" | "target", readonly string[]> = {
  source: ["MLSD 2", "RETR 1", "RETR 2", "MLST 2"],
  target: ["MKD 2", "STOR 1", "STOR 2", "RNFR 3", "RNTO 2", "MFMT 2"],
};
/** More than any reply is waited for, milliseconds. */
const LATE_MS = 70_000;

/** Each of these answers comes after more than a minute, once. */
const slow: One = (protocol, kind, random, options) => {
  const [source] = protocol.split("->");
  const ends = (["source", "target"] as const).filter((end) =>
    protocol.split("->")[end === "source" ? 0 : 1] === "ftp"
  );
  const possible = ends.flatMap((end) => LATE_ANSWERS[end].map((answer) => ({ end, answer })));
  const chosen = options.scale === "full" ? possible : [possible[Math.floor(random() * possible.length)]!];
  let count = 0;
  /** What ends each wait: a driver that has found out by itself what the answer would be is done before it comes. */
  const waits = new Set<() => void>();
  const hooks = (end: "source" | "target"): WireHooks => {
    const left = new Set(chosen.filter((one) => one.end === end).map(({ answer }) => answer));
    return {
      onReply: async (verb, reply) => {
        if (!left.delete(`${verb} ${reply[0]}`)) return reply;
        count++;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, LATE_MS);
          waits.add(() => {
            clearTimeout(timer);
            resolve();
          });
        });
        return reply;
      },
    };
  };
  return trouble({
    protocol,
    kind,
    random,
    options,
    source: source === "ftp" ? hooks("source") : {},
    target: hooks("target"),
    end: () => {
      for (const endWait of waits) endWait();
      return { runs: count, resentLimitBytes: chosen.length * RESENT_FILE_BYTES };
    },
  });
};

/** The link is cut, and the server still gets bytes for two seconds: its SIZE grows while the client is back. */
const growing: One = (protocol, kind, random, options) => {
  let pipeline: Pipeline | undefined;
  const met = new Set<string>();
  return trouble({
    protocol,
    kind,
    random,
    options,
    onOpen: (opened) => pipeline = opened,
    target: {
      onTransfer: ({ verb, path }) => {
        const file = verb === "STOR" ? pipeline!.fileOf(path) : undefined;
        if (file === undefined || file.sizeBytes < 500_000 || met.has(file.path)) return undefined;
        met.add(file.path);
        return { atByte: 100_000 + Math.floor(random() * 200_000), how: "late" };
      },
    },
    end: () => ({ runs: met.size, resentLimitBytes: met.size * RESENT_FILE_BYTES }),
  });
};

/** Every file is cut once on its way to a server that refuses REST before STOR. */
const appendOnly: One = (protocol, kind, random, options) => {
  let pipeline: Pipeline | undefined;
  const met = new Set<string>();
  // ProFTPD's own default refuses both ways to go on: the whole file is sent again.
  const isWhole = kind === "proftpd";
  let isRestarted = false;
  return trouble({
    protocol,
    kind,
    random,
    options,
    onOpen: (opened) => pipeline = opened,
    server: { noStoreRestart: isWhole },
    target: {
      onCommand: (line) => {
        if (isWhole) return undefined;
        if (line.startsWith("REST ")) isRestarted = line !== "REST 0";
        else if (line.startsWith("RETR ")) isRestarted = false;
        else if (line.startsWith("STOR ") && isRestarted) {
          isRestarted = false;
          return "550 Restart not supported for STOR.";
        }
        return undefined;
      },
      onTransfer: ({ verb, path }) => {
        const file = verb === "STOR" ? pipeline!.fileOf(path) : undefined;
        if (file === undefined || file.sizeBytes < 500_000 || met.has(file.path)) return undefined;
        met.add(file.path);
        return { atByte: Math.floor(file.sizeBytes * (0.2 + 0.6 * random())), how: "link" };
      },
    },
    end: () => ({ runs: met.size, resentLimitBytes: isWhole ? null : met.size * RESENT_FILE_BYTES }),
  });
};

export const SERVERS: readonly Scenario[] = [
  row("server-kill", "server killed while files move, started again", killed),
  row("crowded", "too many connections", crowded),
  row("server-full", "server full: 452 and 552 before and in a file", full, { protocols: TARGETS, patient: true }),
  row("server-slow", "an answer that takes more than a minute", slow, { protocols: TARGETS, patient: true }),
  row("growing", "SIZE still growing after a cut", growing, { protocols: TARGETS }),
  row("append-only", "REST before STOR refused", appendOnly, { protocols: TARGETS, kinds: ["pyftpdlib", "proftpd"] }),
];
