/**
 * The system's own systemd in namespaces of its own, on a copy of the root that lives in memory: `systemd_bed.sh`. In a guest
 * with all its devices: `systemd_guest.sh`.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { hasCommand } from "./needs.ts";

const SCRIPTS = {
  machine: new URL("systemd_bed.sh", import.meta.url).pathname,
  guest: new URL("systemd_guest.sh", import.meta.url).pathname,
};
/** Until systemd answers, milliseconds. */
const BOOT_MS = 60_000;

/** What a command inside came to. */
export interface Answer {
  code: number;
  /** stdout and stderr. */
  text: string;
}

/** A system that runs systemd. */
export interface SystemdBed {
  /** A folder that is `/share` inside. */
  share: string;
  /** Runs a script as root inside. */
  sh(script: string): Promise<Answer>;
}

/** Whether namespaces, overlays and systemd are to be had. */
export function canBoot(): boolean {
  return Deno.uid() === 0 && hasCommand("systemctl") && hasCommand("/lib/systemd/systemd") && hasCommand("unshare") &&
    /\boverlay$/m.test(Deno.readTextFileSync("/proc/filesystems"));
}

/** Waits inside until `condition` holds, with the service's state if it never does. */
export async function until(bed: SystemdBed, condition: string, unit = "filesync"): Promise<void> {
  const { code, text } = await bed.sh(
    `for n in $(seq 300); do ${condition} && exit 0; sleep 0.2; done; systemctl status ${unit}; journalctl -n 50; exit 1`,
  );
  assert.equal(code, 0, `${condition}: ${text}`);
}

/** Runs a command that must succeed. */
export async function must(bed: SystemdBed, script: string): Promise<string> {
  const { code, text } = await bed.sh(script);
  assert.equal(code, 0, `${script}: ${text}`);
  return text;
}

/**
 * Boots it, runs `run`, and leaves nothing of it.
 * @param on `guest`: this is the guest of guest.ts
 */
export async function withSystemd(
  run: (bed: SystemdBed) => Promise<void>,
  on: keyof typeof SCRIPTS = "machine",
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-systemd-" });
  const share = join(dir, "share");
  await Deno.mkdir(share);
  const child = new Deno.Command("unshare", {
    args: ["--pid", "--fork", "--kill-child", "--mount", "--net", "--uts", "--ipc", "--cgroup", "sh", SCRIPTS[on], dir],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const words = new Response(child.stderr).text();
  try {
    const systemd = await untilItAnswers(child.pid, words, child.status);
    await run({ share, sh: (script) => inside(systemd, script) });
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await words;
    await Deno.remove(dir, { recursive: true });
  }
}

async function inside(pid: number, script: string): Promise<Answer> {
  const { code, stdout, stderr } = await new Deno.Command("nsenter", {
    args: ["--target", `${pid}`, "--all", "sh", "-c", script],
    clearEnv: true,
    env: { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** @returns The process id of systemd, as this system counts */
async function untilItAnswers(unshare: number, words: Promise<string>, ended: Promise<unknown>): Promise<number> {
  let isOver = false;
  ended.then(() => isOver = true);
  const until = performance.now() + BOOT_MS;
  while (performance.now() < until) {
    if (isOver) throw new Error(`Cannot boot systemd: ${await words}`);
    const [pid] = Deno.readTextFileSync(`/proc/${unshare}/task/${unshare}/children`).split(" ").map(Number);
    if (pid !== undefined && pid > 0 && Deno.readTextFileSync(`/proc/${pid}/comm`).trim() === "systemd") {
      const { text } = await inside(pid, "systemctl is-system-running");
      if (/^(running|degraded)/.test(text)) return pid;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("Cannot boot systemd: it does not answer");
}
