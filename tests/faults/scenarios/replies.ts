/** Servers that answer oddly: each command refused once, replies lost, commands done and told as failed. */
import { FTP_SERVER_KINDS, type FtpServerKind } from "../../support/ftp_servers.ts";
import type { WireHooks } from "../../support/ftp_wire.ts";
import { Pipeline, RESENT_FILE_BYTES } from "../pipeline.ts";
import { filesBelow } from "../verifier.ts";
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

/** Every command that the driver may send. */
const VERBS =
  "USER PASS TYPE FEAT OPTS PWD CWD EPSV PASV MLSD MLST LIST SIZE MDTM MFMT MKD REST RETR STOR APPE RNFR RNTO DELE"
    .split(" ");

/** A login that is refused for good holds the device for an hour, as it should. */
const NO_LOGIN = VERBS.filter((verb) => verb !== "USER" && verb !== "PASS");
/** 501 and 553 to these are a verdict on the file's name: it is parked, as it should. */
const NO_NAMES = NO_LOGIN.filter((verb) => verb !== "MKD" && verb !== "RNTO");

function verbsFor(reply: string): readonly string[] {
  if (reply.startsWith("4")) return VERBS;
  return /^(501|553)/.test(reply) ? NO_NAMES : NO_LOGIN;
}

interface Harm {
  /** What it is, for a person who waits. */
  words: string;
  /** Hooks for one wire; `strike` is called at each harm done. */
  hooks: (strike: (what: string) => void) => WireHooks;
  /** The end that it is done to; both when absent. */
  end?: "source" | "target";
  /** Files may be sent anew from their beginning: the server has refused the way to resume. */
  restarts?: boolean;
  /** The source's files are removed when they have arrived. */
  deletes?: boolean;
}

const SESSION_VERBS = ["USER", "PASS", "TYPE", "FEAT", "OPTS", "PWD", "CWD"];
/** Those of a new connection, and those of its use: together they would take too long to fail one after the other. */
const GROUPS: readonly ((verb: string) => boolean)[] = [
  (verb) => SESSION_VERBS.includes(verb),
  (verb) => !SESSION_VERBS.includes(verb),
];
/** Takes each of `verbs` once, and not two in a row: what is done about one refusal must not be refused itself. */
function once(verbs: readonly string[]): (verb: string) => boolean {
  const left = new Set(verbs);
  let isPause = false;
  return (verb) => {
    if (isPause) {
      isPause = false;
      return false;
    }
    return isPause = left.delete(verb);
  };
}

/** Each command is refused the first time it comes, and works afterwards. */
function refuse(reply: string): Harm[] {
  return GROUPS.map((isOfGroup) => ({
    words: `each command is answered ${reply.slice(0, 3)} once`,
    restarts: true,
    hooks: (strike) => {
      const isDue = once(verbsFor(reply).filter(isOfGroup));
      return {
        onCommand: (line) => {
          const verb = line.split(" ", 1)[0]!;
          if (!isDue(verb)) return undefined;
          strike(`${verb} ${reply.slice(0, 3)}`);
          return reply;
        },
      };
    },
  }));
}

/** Each command is done, and its reply never comes: the connections end with it, or stay. */
function lose(how: "cut" | "lose", verbs: readonly string[], end?: "source" | "target"): Harm {
  return {
    ...(end === undefined ? {} : { end }),
    words: how === "cut" ? "the link is cut instead of a reply" : `the reply to ${verbs.join(", ")} does not come`,
    hooks: (strike) => {
      const isDue = once(verbs);
      return {
        onReply: (verb, reply, line) => {
          // The reply to a transfer that is cut anyway is missed by nobody.
          if (reply.startsWith("1") || line.includes("cut/c.bin") || !isDue(verb)) return reply;
          strike(`${verb} ${how}`);
          return how;
        },
      };
    },
  };
}

/** Each command is done, and told as failed. */
function lie(reply: string): Harm {
  return {
    words: `what was done is told as ${reply.slice(0, 3)}`,
    restarts: true,
    hooks: (strike) => {
      const isDue = once(["MKD", "STOR", "RETR", "RNFR", "RNTO", "DELE", "MFMT"]);
      return {
        onReply: (verb, real) => {
          if (!/^[23]/.test(real) || !isDue(verb)) return real;
          strike(`${verb} told as ${reply.slice(0, 3)}`);
          return reply;
        },
      };
    },
  };
}

/** A few files in folders; one is cut once in its middle, so that the commands of resuming are met too. */
async function run(
  protocol: string,
  kind: FtpServerKind,
  harm: Harm,
  seed: number,
  { signal, tell }: RunOptions,
): Promise<Outcome> {
  const struck: string[] = [];
  const hooks = (verbs: RegExp): WireHooks => {
    let isCut = false;
    return {
      ...harm.hooks((what) => struck.push(what)),
      onTransfer: ({ verb, path }) => {
        if (isCut || !verbs.test(verb) || pipeline.fileOf(path)?.path !== "cut/c.bin") return undefined;
        isCut = true;
        return { atByte: 300_000, how: "link" };
      },
    };
  };
  await using pipeline = await Pipeline.open({
    protocol,
    seed,
    signal,
    files: { "a.bin": 200_000, "folder/b b.ulg": 1_000, "folder/deep/empty": 0, "cut/c.bin": 500_000 },
    source: { ftp: { kind, hooks: hooks(/^RETR$/) } },
    target: { ftp: { kind, hooks: hooks(/^STOR$/) } },
    // All commands are harmed in one run, and a file may meet many of them.
    job: { attempts: 30, ...(harm.deletes ? { after: "delete" } : {}) },
  });
  pipeline.start();
  await pipeline.untilDelivered(400_000);
  if (harm.deletes) await pipeline.until(() => filesBelow(pipeline.source.dir).length === 0, 200_000);
  tell(`${kind}, ${harm.words}: ${struck.join(", ")}`);
  const outcome = await pipeline.finish({
    runs: struck.length,
    resentLimitBytes: harm.restarts ? null : (struck.length + 2) * RESENT_FILE_BYTES,
    notes: [kind],
  });
  if (harm.deletes) outcome.leftovers += filesBelow(pipeline.source.dir).length;
  return outcome;
}

function row(name: string, fault: string, harms: Harm[]): Scenario {
  return {
    name,
    fault,
    protocols: PROTOCOLS,
    needs: FTP_SERVER_KINDS,
    // Back-off is most of it.
    patient: true,
    async run(protocol, options) {
      const random = seededRandom(options.seed);
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
      const sum = emptyOutcome();
      const [source, target] = protocol.split("->");
      const possible = harms.filter(({ end }) => end === undefined || (end === "source" ? source : target) === "ftp");
      const isFull = options.scale === "full";
      const chosen = isFull ? possible : [pick(possible)];
      // One server waits beside another: that is most of what it does.
      await eachOf(isFull ? FTP_SERVER_KINDS : [pick(FTP_SERVER_KINDS)], async (kind) => {
        const own = seededRandom(Math.floor(random() * 2 ** 31));
        for (const harm of chosen) {
          addOutcome(sum, await run(protocol, kind, harm, Math.floor(own() * 2 ** 31), options));
        }
      }, true);
      return sum;
    },
  };
}

/** Each costs the minute after which a reply is given up. */
const LAST_REPLIES = [
  { ...lose("lose", ["DELE"], "source"), deletes: true },
  lose("lose", ["RETR"], "source"),
  ...["STOR", "RNFR", "RNTO", "MKD"].map((verb) => lose("lose", [verb], "target")),
];

export const REPLIES: readonly Scenario[] = [
  row("refused-4xx", "each command answered 4xx once", [
    ...refuse("421 Service not available, closing control connection."),
    ...refuse("425 Cannot open data connection."),
    ...refuse("426 Connection closed; transfer aborted."),
    ...refuse("450 File busy."),
    ...refuse("451 Local error in processing."),
  ]),
  row("refused-5xx", "each command answered 5xx once", [
    ...refuse("500 Unknown command."),
    ...refuse("501 Syntax error in parameters."),
    ...refuse("502 Command not implemented."),
    ...refuse("503 Bad sequence of commands."),
    ...refuse("550 Requested action not taken."),
    ...refuse("553 File name not allowed."),
  ]),
  row(
    "reply-cut",
    "the link cut instead of each reply once",
    [
      ...GROUPS.map((isOfGroup) => lose("cut", VERBS.filter(isOfGroup))),
      { ...lose("cut", ["DELE"], "source"), deletes: true },
    ],
  ),
  row("reply-lost", "the last reply never comes, the connection stays", LAST_REPLIES),
  row("lie-4xx", "commands done and told as failed, 4xx", [lie("451 Local error in processing.")]),
  row("lie-5xx", "commands done and told as failed, 5xx", [lie("550 Requested action not taken.")]),
];
