/** A configuration with an autopilot, and patience. */
import assert from "node:assert/strict";
import { PERSONALITIES } from "../support/autopilot/mod.ts";

/** No telemetry beside heartbeats. */
export const QUIET = { attitude: 0, position: 0 };
/** Where PX4 keeps its logs. */
export const ROOT = PERSONALITIES["px4-main"].logRoot;
/** Nothing here takes so long, milliseconds. */
const PATIENCE_MS = 120_000;

/** A job from the device `pixracer` to `./out`, which is made. */
export async function writeConfig(dir: string, args: Record<string, unknown>, job: Record<string, unknown> = {}) {
  await Deno.mkdir(`${dir}/out`, { recursive: true });
  const config = {
    state: "./temp/filesync.db",
    devices: { pixracer: { driver: "mavftp", args } },
    jobs: [{
      name: "logs",
      source: "pixracer",
      target: { driver: "local", args: { dir: "./out" } },
      finder: { settle: "0s", interval: "1s" },
      ...job,
    }],
  };
  await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(config));
}

/** Looks until it is so; fails with `what` otherwise. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    assert.ok(performance.now() < endMs, `${what}: it never came to that`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
