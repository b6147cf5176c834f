import assert from "node:assert/strict";
import { closeLog, configureLog } from "./log.ts";
import { removeAged } from "./log_age.ts";

const DAY_MS = 86_400_000;

async function inTempDir(use: (dir: string) => void | Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-log-age-" });
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function write(path: string, ageMs: number): void {
  Deno.writeTextFileSync(path, "old");
  const then = new Date(Date.now() - ageMs);
  Deno.utimeSync(path, then, then);
}

const namesIn = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).sort();

Deno.test("removeAged() removes rotated files that are too old, and nothing else", () =>
  inTempDir((dir) => {
    for (
      const [name, days] of [["log", 9], ["log.1", 1], ["log.2", 8], ["log.3", -3], ["log.4", 8], ["log.x", 8]] as const
    ) {
      write(`${dir}/${name}`, days * DAY_MS);
    }
    removeAged(`${dir}/log`, { keep: 3, maxAgeMs: 7 * DAY_MS });
    assert.deepEqual(namesIn(dir), ["log", "log.1", "log.3", "log.4", "log.x"]);
    removeAged(`${dir}/log`, { keep: 9 });
    assert.equal(namesIn(dir).length, 5);
  }));

Deno.test("configureLog() removes what is too old when it starts", () =>
  inTempDir(async (dir) => {
    write(`${dir}/log.1`, 2 * DAY_MS);
    write(`${dir}/log.2`, 40 * DAY_MS);
    const options = { level: "info", maxBytes: 1000, keep: 5, console: false } as const;
    await configureLog({ ...options, file: `${dir}/log`, maxAgeMs: 30 * DAY_MS });
    await closeLog();
    assert.deepEqual(namesIn(dir), ["log", "log.1"]);
  }));
