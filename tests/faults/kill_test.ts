// Goal: however the program or a driver is killed, every file arrives once and whole, and no half file ever has a final
// name. Method: short campaigns of real kills with a printed seed; FILESYNC_KILLS makes them long.
import assert from "node:assert/strict";
import { join } from "node:path";
import { type FtpServer, type FtpServerKind, hasFtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";
import { type CampaignDevice, killCampaign } from "./kill_campaign.ts";

const KILLS = Number(Deno.env.get("FILESYNC_KILLS") ?? "6");

type Kind = "local" | FtpServerKind;

/** A device of a kind on `dir`, and the server behind it. */
async function open(kind: Kind, dir: string): Promise<{ device: CampaignDevice; server?: FtpServer }> {
  if (kind === "local") return { device: { dir, device: { driver: "local", args: { dir } } } };
  const server = await startFtpServer(kind, { root: dir });
  const { host, port, user, passwd } = server;
  return { device: { dir, device: { driver: "ftp", args: { host, port, user, passwd } } }, server };
}

async function campaign(source: Kind, target: Kind, victim: "host" | "driver"): Promise<void> {
  const seed = Number(Deno.env.get("FILESYNC_SEED") ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed: FILESYNC_SEED=${seed}`);
  const dir = await Deno.makeTempDir({ prefix: "filesync-kill-" });
  const dirs = { work: join(dir, "work"), source: join(dir, "source"), target: join(dir, "target") };
  for (const path of Object.values(dirs)) await Deno.mkdir(path);
  // A server drops its rights: it must be able to reach what it serves.
  await Deno.chmod(dir, 0o755);
  for (const path of [dirs.source, dirs.target]) await Deno.chmod(path, 0o777);
  const from = await open(source, dirs.source);
  const to = await open(target, dirs.target);
  try {
    const result = await killCampaign({
      workDir: dirs.work,
      source: from.device,
      target: to.device,
      seed,
      kills: KILLS,
      victim,
    });
    const nothing = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
    assert.deepEqual(result.verdict, nothing, result.stderr);
    assert.deepEqual(result.wrongAtAnInstant, []);
    assert.deepEqual(result.spoolLeftovers, []);
    assert.equal(result.exitCode, 0, result.stderr);
  } finally {
    await from.server?.stop();
    await to.server?.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

const PAIRS: [Kind, Kind][] = [["local", "local"], ["local", "pure-ftpd"], ["vsftpd", "local"], [
  "pure-ftpd",
  "pyftpdlib",
]];

for (const [source, target] of PAIRS) {
  for (const victim of ["host", "driver"] as const) {
    const kinds = [source, target].filter((kind) => kind !== "local") as FtpServerKind[];
    const missing = kinds.find((kind) => !hasFtpServer(kind));
    testNeeding(
      missing ?? "nothing more",
      `sync delivers every file once and whole when the ${victim} is killed at random instants, ${source} to ${target}`,
      () => campaign(source, target, victim),
      missing === undefined,
    );
  }
}
