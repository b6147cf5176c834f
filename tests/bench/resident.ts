/** What the program costs while nothing moves, and what a large listing costs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificates } from "../support/certificates.ts";
import { type FtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { Daemon, isListed, until } from "./daemon.ts";
import { median } from "./measure.ts";
import { childrenOf, cpuOf, mibOf, peakMibOf, wait } from "./proc.ts";

/** From the last file's arrival to the look, milliseconds: V8 gives memory back in its own time. */
const SETTLE_MS = 12_000;
/** How long processor time is counted, milliseconds. */
const WATCH_MS = 10_000;
const LISTED = 100_000;
const FEW = 20;

/** One process of a daemon. */
interface Look {
  who: string;
  residentMib: number;
  /** Its own memory: the rest are pages of the runtime's file, which processes share. */
  anonymousMib: number;
  cpuPercent: number;
}

/** Measures and returns the table. */
export async function residentTable(): Promise<string> {
  const looks: Look[] = [];
  for (const secure of [false, "explicit", "implicit"] as const) looks.push(...await idle(secure));
  const lines = [
    `Idle for ${SETTLE_MS / 1000} s after ${FEW} files, \`finder.interval\` 10 s; medians where there are several.`,
    "",
    "| process | RSS MiB | of it its own | CPU % of a core |",
    "|---|---|---|---|",
  ];
  for (const who of [...new Set(looks.map((look) => look.who))].sort()) {
    const of = (field: keyof Omit<Look, "who">) => median(looks.filter((l) => l.who === who).map((l) => l[field]));
    const cells = [who, of("residentMib").toFixed(1), of("anonymousMib").toFixed(1), of("cpuPercent").toFixed(2)];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  lines.push("");
  for (const source of ["local", "ftp"] as const) {
    const peakMib = (await listing(source)).toFixed(0);
    lines.push(
      `Host while it lists ${LISTED.toLocaleString("en")} files of \`${source}\`: ${peakMib} MiB at its peak.`,
    );
  }
  return lines.join("\n");
}

async function idle(secure: false | "explicit" | "implicit"): Promise<Look[]> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-bench-" });
  const root = join(dir, "served");
  mkdirSync(root);
  for (let n = 0; n < FEW; n++) writeFileSync(join(root, `${n}.bin`), crypto.getRandomValues(new Uint8Array(1000)));
  const certificates = makeCertificates(dir);
  // vsftpd demands that data connections resume the TLS session; it serves anonymous users what it does not let them write.
  const server = await startFtpServer("vsftpd", {
    root,
    ...(secure === false ? {} : { tls: { mode: secure, certificates } }),
  });
  const { host, port, user, passwd } = server;
  const args = { host, port, user, passwd, secure, ...(secure === false ? {} : { ca: certificates.caFile }) };
  const source = { driver: "ftp", args };
  const target = { driver: "local", args: { dir: "out" } };
  const job = { name: "bench", source, target, finder: { settle: "0s", interval: "10s" } };
  writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [job] }));
  const daemon = new Daemon(dir);
  try {
    await until(() => [...Deno.readDirSync(join(dir, "out"))].length === FEW);
    await wait(SETTLE_MS);
    const pids = [daemon.pid, ...childrenOf(daemon.pid)];
    const before = pids.map(cpuOf);
    await wait(WATCH_MS);
    return pids.map((pid, at) => ({
      who: nameOf(pid, secure),
      residentMib: mibOf(pid, "VmRSS"),
      anonymousMib: mibOf(pid, "RssAnon"),
      cpuPercent: (cpuOf(pid) - before[at]!) / WATCH_MS * 1000 * 100,
    }));
  } finally {
    await daemon[Symbol.asyncDispose]();
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

/** The host's peak in a run that finds everything and wants nothing of it, MiB. */
async function listing(kind: "local" | "ftp"): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-bench-" });
  // The server drops its rights.
  Deno.chmodSync(dir, 0o755);
  let server: FtpServer | undefined;
  try {
    for (let folder = 0; folder < LISTED / 1000; folder++) {
      const below = join(dir, "in", `d${folder}`);
      mkdirSync(below, { recursive: true });
      // Names of one file: a listing reads names, and files of their own take minutes on a slow disk.
      writeFileSync(join(below, "log_0.ulg"), "");
      for (let n = 1; n < 1000; n++) Deno.linkSync(join(below, "log_0.ulg"), join(below, `log_${n}.ulg`));
    }
    if (kind === "ftp") server = await startFtpServer("vsftpd", { root: join(dir, "in") });
    const source = server === undefined
      ? { driver: "local", args: { dir: "in" } }
      : { driver: "ftp", args: { host: server.host, port: server.port, user: server.user, passwd: server.passwd } };
    const target = { driver: "local", args: { dir: "out" } };
    // They never settle while we look.
    const job = { name: "bench", source, target, finder: { settle: "1h", interval: "1h" } };
    writeFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [job] }));
    await using daemon = new Daemon(dir);
    await until(() => isListed(join(dir, "filesync.db")));
    return peakMibOf(daemon.pid);
  } finally {
    await server?.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

function nameOf(pid: number, secure: false | string): string {
  const driver = /plugins\/(\w+)\/main\.ts/.exec(read(`/proc/${pid}/cmdline`))?.[1];
  if (driver === undefined) return "host";
  return driver === "ftp" && secure !== false ? `ftp, ${secure} TLS` : driver;
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}
