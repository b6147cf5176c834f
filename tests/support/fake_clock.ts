/** Another date for the real program and its drivers, by libfaketime; durations stay true. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
export const DAY_MS = 24 * 60 * 60 * 1000;

/** Debian's package `faketime` has it; `undefined` where it is not installed. */
export function fakeTimeLibrary(): string | undefined {
  for (const { name, isDirectory } of Deno.readDirSync("/usr/lib")) {
    const path = `/usr/lib/${name}/faketime/libfaketimeMT.so.1`;
    try {
      if (isDirectory && Deno.statSync(path).isFile) return path;
    } catch {
      // Another architecture's folder.
    }
  }
  return undefined;
}

/** The date of one program, which can jump at any time. */
export class FakeClock {
  /** For the program. */
  readonly env: Record<string, string>;
  readonly #stamp: string;

  /** @param dir a folder of the test */
  constructor(dir: string) {
    this.#stamp = join(dir, "clock");
    this.jump(0);
    const faked = {
      LD_PRELOAD: fakeTimeLibrary()!,
      FAKETIME_TIMESTAMP_FILE: this.#stamp,
      FAKETIME_NO_CACHE: "1",
      DONT_FAKE_MONOTONIC: "1",
    };
    // Drivers are given few variables of the program: this is the program that they are started by. Without Deno's cache
    // it would fetch every package anew first.
    const self = join(dir, "filesync");
    const cache = Deno.env.get("DENO_DIR") ??
      join(Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`, "deno");
    const variables = Object.entries({ ...faked, DENO_DIR: cache }).map(([name, value]) => `${name}='${value}'`).join(
      " ",
    );
    Deno.writeTextFileSync(
      self,
      `#!/bin/sh\nexport ${variables}\nexec '${Deno.execPath()}' run -A --no-prompt --quiet '${MAIN}' "$@"\n`,
      { mode: 0o755 },
    );
    this.env = { ...faked, FILESYNC_SELF: self };
  }

  /** From now on the date is `days` from today; it goes on from there. */
  jump(days: number): void {
    // Renamed, so that nobody reads a half of it.
    Deno.writeTextFileSync(`${this.#stamp}.new`, `${days < 0 ? "-" : "+"}${Math.abs(days)}d\n`);
    Deno.renameSync(`${this.#stamp}.new`, this.#stamp);
  }

  /** The date is fixed in the time of day: `2027-05-05 12:00:00`, and goes on from there. */
  set(localTime: string): void {
    const ms = Date.parse(localTime.replace(" ", "T"));
    Deno.writeTextFileSync(
      `${this.#stamp}.new`,
      `${ms >= Date.now() ? "+" : "-"}${Math.abs(ms - Date.now()) / 1000}\n`,
    );
    Deno.renameSync(`${this.#stamp}.new`, this.#stamp);
  }
}
