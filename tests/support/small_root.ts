/** Systems of their own to install into: a root directory with few programs, entered by chroot in namespaces. */
import { join } from "node:path";
import { hasCommand } from "./needs.ts";

/** A root directory and what runs in it. */
export interface SmallRoot {
  dir: string;
  /** Runs a script as root inside. */
  sh(script: string): Promise<{ code: number; text: string }>;
}

/** Whether a root may be made and entered. */
export function canEnterRoots(): boolean {
  return Deno.uid() === 0 && hasCommand("unshare") && hasCommand("chroot");
}

/** Fills `dir` with busybox and glibc, and nothing else: the least system that the program runs on. */
export async function busyboxRoot(dir: string): Promise<void> {
  for (const name of ["bin", "etc", "tmp", "proc", "dev", "release"]) Deno.mkdirSync(join(dir, name));
  Deno.chmodSync(join(dir, "tmp"), 0o1777);
  Deno.copyFileSync(await found("busybox"), join(dir, "bin/busybox"));
  const { stdout } = await new Deno.Command("ldd", { args: [Deno.execPath()], stdin: "null" }).output();
  for (const [path] of new TextDecoder().decode(stdout).matchAll(/\/lib\S+/g)) {
    Deno.mkdirSync(join(dir, path, ".."), { recursive: true });
    Deno.copyFileSync(path, join(dir, path));
  }
  await run("chroot", [dir, "/bin/busybox", "--install", "-s", "/bin"]);
  // Busybox prefers what it has itself to what is on PATH: a test that has other answers needs another shell.
  Deno.copyFileSync("/bin/dash", join(dir, "bin/dash"));
}

/** What a shell script may count on in any Debian. */
const ESSENTIAL = "base-files,coreutils,dash,diffutils,findutils,grep,gzip,libc-bin,libgcc-s1,sed,tar,util-linux";

/** Fills `dir` with the packages of this machine's Debian that are essential for a script, unpacked by debootstrap's heir. */
export async function debianRoot(dir: string): Promise<void> {
  const { VERSION_CODENAME: suite = "" } = Object.fromEntries(
    Deno.readTextFileSync("/etc/os-release").split("\n").map((line) => line.split("=", 2) as [string, string]),
  );
  await run("mmdebstrap", [
    ...["--quiet", "--variant=extract", `--include=${ESSENTIAL}`, "--mode=root", "--skip=check/empty"],
    ...[suite, dir],
  ]);
  Deno.mkdirSync(join(dir, "release"));
}

/** The root in `dir`, where the folder `bound` is seen as `/release`. */
export function smallRoot(dir: string, bound: string): SmallRoot {
  const enter = `mount --make-rprivate / && mount --bind "$2" "$1/release" && mount -t proc proc "$1/proc" &&
    mount --rbind /dev "$1/dev" && exec chroot "$1" /bin/sh -c "$3"`;
  return {
    dir,
    async sh(script) {
      const { code, stdout, stderr } = await new Deno.Command("unshare", {
        args: ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", enter, "sh", dir, bound, script],
        clearEnv: true,
        env: { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/tmp" },
        stdin: "null",
      }).output();
      const words = new TextDecoder();
      return { code, text: words.decode(stdout) + words.decode(stderr) };
    },
  };
}

async function found(command: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", `command -v ${command}`], stdin: "null" }).output();
  return new TextDecoder().decode(stdout).trim();
}

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdin: "null", stdout: "null" }).output();
  if (!success) throw new Error(`Cannot make a root: ${command}: ${new TextDecoder().decode(stderr)}`);
}
