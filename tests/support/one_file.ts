/** The program as one file, run like a user's who has nothing else. */
import { cpSync } from "node:fs";
import { join } from "node:path";

/** Nobody, who owns nothing. */
export const NOBODY = 65534;

/** How a program ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs `argv` with no environment but PATH and `env`: as nobody and without a network where we are root.
 * @param cwd where it runs
 * @param options `network`: the machine's own, for servers on loopback
 */
export async function runBare(
  argv: string[],
  cwd: string,
  env: Record<string, string> = {},
  { network = false }: { network?: boolean } = {},
): Promise<Ended> {
  const isRoot = Deno.uid() === 0;
  const id = `${NOBODY}`;
  const [command = "", ...args] = [
    ...(isRoot && !network ? ["unshare", "--net"] : []),
    ...(isRoot ? ["setpriv", "--reuid", id, "--regid", id, "--clear-groups"] : []),
    ...argv,
  ];
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...env },
    stdin: "null",
  }).output();
  const words = new TextDecoder();
  return { code, stdout: words.decode(stdout), stderr: words.decode(stderr) };
}

/** Gives `path` to the user that `runBare` runs as. */
export function giveAway(path: string): void {
  if (Deno.uid() === 0) Deno.chownSync(path, NOBODY, NOBODY);
}

/** Libraries of Debian for arm64: a folder that holds `lib/ld-linux-aarch64.so.1`. */
const ARM64_LIBRARIES = [Deno.env.get("FILESYNC_ARM64_LIBRARIES"), "/usr/aarch64-linux-gnu"];

/** The folder of the libraries that a program for arm64 needs under qemu, if all of it is here. */
export function arm64Libraries(): string | undefined {
  return ARM64_LIBRARIES.find((dir) => {
    try {
      return dir !== undefined && Deno.statSync(`${dir}/lib/ld-linux-aarch64.so.1`).isFile;
    } catch {
      return false;
    }
  });
}

/** Has qemu run what `cache` holds: a program for arm64 that was unpacked there, by whichever user. */
export function emulate(cache: string): void {
  const [hash = ""] = [...Deno.readDirSync(cache)].map(({ name }) => name);
  const unpacked = join(cache, hash);
  Deno.renameSync(join(unpacked, "filesync"), join(unpacked, "emulated"));
  // Where they came from may be closed to that user.
  cpSync(`${arm64Libraries()}/lib`, join(unpacked, "lib"), { recursive: true });
  Deno.writeTextFileSync(
    join(unpacked, "filesync"),
    `#!/bin/sh\nexec qemu-aarch64-static -L '${unpacked}' '${unpacked}/emulated' "$@"\n`,
    { mode: 0o755 },
  );
}
