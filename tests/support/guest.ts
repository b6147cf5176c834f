/**
 * A Linux of its own for tests of what the machine's kernel does not have or what must not be done to it: filesystems such as
 * FAT, drives that udev tells of, udisks. It is Debian's user-mode Linux, a process of ours, on a copy of this machine's
 * root (guest_init.sh). `.ci/run` unpacks its packages beside the system, since nothing of them may run on the machine.
 */
import assert from "node:assert/strict";
import { testNeeding } from "./needs.ts";

/** Where unpacked packages are: `usr/bin/linux.uml`, `lib/systemd/systemd-udevd`, … */
const PACKAGES = Deno.env.get("FILESYNC_GUEST") ??
  `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/filesync-ci/guest`;
const KERNEL = `${PACKAGES}/usr/bin/linux.uml`;
const INIT = new URL("guest_init.sh", import.meta.url).pathname;
const PROJECT = new URL("../../", import.meta.url).pathname;
/** Sparse: what is not used is not taken. */
const MEMORY = "1500M";
/** Tells a test file that it runs in the guest. */
const INSIDE = "FILESYNC_IN_GUEST";
/** What the tests inside must know of the world outside. */
const HANDED_ON = ["CI", "HOME", "PATH", "FILESYNC_SEED"];
/** Where this machine's Deno has its packages. */
export const DENO_DIR = Deno.env.get("DENO_DIR") ??
  `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`;

/** What a script inside came to. */
export interface GuestAnswer {
  code: number;
  /** stdout and stderr. */
  text: string;
}

/** Whether a guest can be started here. */
export function hasGuest(): boolean {
  try {
    return Deno.uid() === 0 && Deno.build.arch === "x86_64" && Deno.statSync(KERNEL).isFile;
  } catch {
    return false;
  }
}

/** Runs a shell script as root in a new guest, which is gone with all it did when it ends. */
export async function runInGuest(script: string): Promise<GuestAnswer> {
  const share = await Deno.makeTempDir({ prefix: "filesync-guest-" });
  try {
    const values = HANDED_ON.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [`export ${name}='${value}'`];
    });
    const prepared = [
      ...values,
      `export ${INSIDE}=1 DENO_DIR='${DENO_DIR}' PATH="$PATH:/usr/sbin:/sbin"`,
      // Others write to these databases meanwhile, and the guest would see a part of each change.
      'rm -f "$DENO_DIR"/*_cache_v*',
    ];
    await Deno.writeTextFile(`${share}/run`, [...prepared, script].join("\n"));
    const { stdout } = await new Deno.Command(KERNEL, {
      args: [
        ...["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", `mem=${MEMORY}`, `init=${INIT}`, "quiet"],
        ...["con=null", "con0=null,fd:1", `uml_dir=${share}/`, "umid=guest", "panic=1"],
        ...[`GUEST_PACKAGES=${PACKAGES}`, `GUEST_SHARE=${share}`],
      ],
      stdin: "null",
      stderr: "null",
    }).output();
    const code = await Deno.readTextFile(`${share}/code`).catch(() => "");
    const text = await Deno.readTextFile(`${share}/out`).catch(() => "");
    if (code === "") throw new Error(`The guest died: ${new TextDecoder().decode(stdout).slice(-2000)}${text}`);
    return { code: Number(code), text };
  } finally {
    await Deno.remove(share, { recursive: true });
  }
}

/**
 * For a file of tests that need a guest. Outside it registers one test, which has the file's own run inside.
 * @param prepare makes outside, before the guest starts, what the tests inside find
 * @returns whether we are inside: the file's own tests are to be registered
 */
export function isInGuest(file: string, name: string, prepare?: () => Promise<unknown>): boolean {
  if (Deno.env.get(INSIDE) === "1") return true;
  testNeeding("root and user-mode Linux", name, async () => {
    await prepare?.();
    const path = new URL(file).pathname;
    const command = `'${Deno.execPath()}' test -A --no-prompt --no-check --preload tests/support/limits.ts '${path}'`;
    const { code, text } = await runInGuest(`cd '${PROJECT}' && NO_COLOR=1 ${command}`);
    assert.equal(code, 0, text);
    assert.match(text, /^ok \| [1-9]/m, text);
  }, hasGuest());
  return false;
}
