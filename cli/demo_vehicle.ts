/**
 * The demo's Pixracer: a simulated autopilot behind a lossy link, a process of its own, which the program reaches as it
 * reaches a real one. It is armed at the start and once more in the middle of a log.
 */
import { DemoChild } from "./demo_child.ts";
import type { Sample } from "./demo_samples.ts";

const SIMULATOR = new URL("../tests/support/autopilot/main.ts", import.meta.url).pathname;
/** Where PX4 keeps its logs. */
const LOG_ROOT = "/fs/microsd/log/";
/** Bytes of its logs after which it is armed again: in the middle of the second one. */
const ARM_AFTER_BYTES = 500_000;
/** What it does not come to in this time it never does, milliseconds. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 100;

interface Told {
  requestCounts: Record<string, number>;
  heartbeats: Record<string, number>;
  armedHeartbeats: number;
  dataBytes: number;
}

export interface DemoVehicle {
  /** `url` of the driver mavftp. */
  url: string;
  logs: Sample[];
  /** Flies with the program: armed, disarmed, armed in the middle of a log, disarmed. Tells what it heard of it. */
  fly(isRunning: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

export async function startVehicle(): Promise<DemoVehicle> {
  // deno-fmt-ignore
  const child = new DemoChild("The simulated autopilot", [
    "run", "--no-prompt", "--allow-net=127.0.0.1", "--allow-read", "--allow-env", SIMULATOR, "--json", "--udp-listen", "0",
    "--armed", "--arm-after", String(ARM_AFTER_BYTES), "--size", "1000000", "--rate", "1500000", "--latency", "5",
    "--loss", "0.01",
  ]);
  const { url, files } = await child.read<{ url: string; files: Sample[] }>();
  const logs = files.map((file) => ({ ...file, path: file.path.slice(LOG_ROOT.length) }));
  const told = async (): Promise<Told> => {
    await child.say("stats");
    return await child.read<Told>();
  };

  /** Looks until it is so. @returns what the vehicle told then */
  async function until(isRunning: () => boolean, isSo: (told: Told) => boolean): Promise<Told> {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const now = await told();
      if (isSo(now)) return now;
      if (!isRunning()) throw new Error('"sync" ended before the flights did');
      if (performance.now() > endMs) throw new Error(`Vehicle waits in vain: ${JSON.stringify(now)}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  return {
    url,
    logs,
    async fly(isRunning) {
      const before = await until(isRunning, ({ heartbeats }) => heard(heartbeats) >= 2);
      if (requests(before) > 0) throw new Error("An armed vehicle was asked");
      console.log(`   Armed: hears ${heard(before.heartbeats)} heartbeats of ours and no request`);
      await child.say("disarm");
      // The first word that it is armed may be on its way while a request is: after the third it is known.
      const armed = await until(
        isRunning,
        ({ dataBytes, armedHeartbeats }) => dataBytes >= ARM_AFTER_BYTES && armedHeartbeats >= 3,
      );
      const later = await until(isRunning, ({ armedHeartbeats }) => armedHeartbeats > armed.armedHeartbeats);
      if (requests(later) !== requests(armed)) throw new Error("A vehicle that was armed in the middle was asked");
      console.log(
        `   Disarmed, sent ${armed.dataBytes} bytes in answer to ${
          requests(armed)
        } requests, then armed in the middle ` +
          "of a log: no request any more",
      );
      await child.say("disarm");
      console.log("   Disarmed: goes on from the byte where it stopped");
    },
    stop: () => child.stop(),
  };
}

function heard(heartbeats: Record<string, number>): number {
  return Object.values(heartbeats).reduce((sum, count) => sum + count, 0);
}

function requests({ requestCounts }: Told): number {
  return Object.values(requestCounts).reduce((sum, count) => sum + count, 0);
}
