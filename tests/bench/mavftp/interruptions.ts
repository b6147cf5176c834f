/**
 * What an interruption costs: bytes that the vehicle sent before it and had to send again after it, what was under way
 * included. The whole program runs; each way is interrupted in each manner, at different places of a burst.
 */
import { IntervalSet } from "../../../plugins/mavftp/interval_set.ts";
import { type Autopilot, sampleCard, startAutopilot, type TransportOptions } from "../../support/autopilot/mod.ts";
import { hasCommand } from "../../support/needs.ts";
import { program as command } from "../work.ts";
import { childrenOf, wait } from "../proc.ts";

const SIZE_BYTES = 700_000;
const WAYS: { name: string; transport: () => TransportOptions; rate: number; needs?: string }[] = [
  { name: "UDP, 400 kB/s", transport: () => ({ kind: "udp-listen", port: 0 }), rate: 400_000 },
  { name: "TCP, 400 kB/s", transport: () => ({ kind: "tcp", port: 0 }), rate: 400_000 },
  {
    name: "serial port, 921600 baud",
    transport: () => ({ kind: "serial", baud: 921_600 }),
    rate: 92_160,
    needs: "socat",
  },
];
const MANNERS = ["driver killed", "program killed", "unplugged", "autopilot restarted"] as const;

/** What the vehicle sent, before an interruption and after it. */
class Sent {
  #before: IntervalSet | undefined;
  #now = new IntervalSet();
  twiceBytes = 0;

  constructor(vehicle: Autopilot) {
    vehicle.core.vehicle.faults.add({
      on: ({ direction, opcode, isNak, packet }) => {
        if (direction !== "reply" || isNak || (opcode !== "ReadFile" && opcode !== "BurstReadFile")) return false;
        this.#take(packet.offset, packet.offset + packet.size);
        return false;
      },
    });
  }

  #take(start: number, end: number): void {
    for (const fresh of this.#now.missing(start, end)) {
      const asked = fresh.end - fresh.start;
      const missing = this.#before?.missing(fresh.start, fresh.end) ?? [{ start: fresh.start, end: fresh.end }];
      this.twiceBytes += asked - missing.reduce((sum, gap) => sum + gap.end - gap.start, 0);
    }
    this.#now.add(start, end);
  }

  get bytes(): number {
    return this.#now.sizeBytes;
  }

  /** From now on counts what was sent already. */
  interrupted(): void {
    this.#before = this.#now;
    this.#now = new IntervalSet();
  }
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    if (tries > 9000) throw new Error(`${what}: it never came to that`);
    await wait(10);
  }
}

async function trial(
  way: typeof WAYS[number],
  manner: typeof MANNERS[number],
  number: number,
  dir: string,
): Promise<number> {
  const files = sampleCard("px4-main", { count: 1, sizeBytes: SIZE_BYTES, seed: number });
  const latencyMs = 5;
  await using vehicle = await startAutopilot({
    personality: "px4-main",
    transport: way.transport(),
    traffic: { attitude: 0, position: 0 },
    files,
    link: { down: { bytesPerSecond: way.rate, latencyMs }, up: { latencyMs } },
  });
  const sent = new Sent(vehicle);
  const source = { driver: "mavftp", args: { url: vehicle.url, settle_after_disarm: 0 } };
  const job = { name: "bench", source, target: { driver: "local", args: { dir: "out" } } };
  await Deno.mkdir(`${dir}/out`, { recursive: true });
  await Deno.writeTextFile(
    `${dir}/config.json`,
    JSON.stringify({ jobs: [{ ...job, finder: { settle: "0s", interval: "1s" } }] }),
  );
  const start = () => {
    const [run, ...args] = command("sync", "--quiet", "--config", `${dir}/config.json`);
    return new Deno.Command(run!, { args, cwd: dir, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  };
  let program = start();
  try {
    await until("a part", () => sent.bytes > 250_000 + number * 13_000);
    sent.interrupted();
    switch (manner) {
      case "driver killed":
        for (const pid of childrenOf(program.pid)) {
          if ((await Deno.readTextFile(`/proc/${pid}/cmdline`)).includes("mavftp")) Deno.kill(pid, "SIGKILL");
        }
        break;
      case "program killed":
        program.kill("SIGKILL");
        await program.status;
        program = start();
        break;
      case "unplugged":
        await vehicle.unplug();
        await wait(4000);
        await vehicle.replug();
        break;
      case "autopilot restarted":
        await vehicle.reboot();
        break;
    }
    const log = files.paths().find((path) => path.endsWith(".ulg"))!.slice("/fs/microsd/log/".length);
    await until("the log", () => {
      try {
        return Deno.statSync(`${dir}/out/${log}`).size === SIZE_BYTES;
      } catch {
        return false;
      }
    });
    return sent.twiceBytes;
  } finally {
    program.kill("SIGTERM");
    await program.status;
  }
}

/** @returns lines of Markdown */
export async function interruptions(trials: number, dir: string): Promise<string[]> {
  const lines = [
    `| PX4, most of ${trials} trials, bytes sent twice (wanted: ≤ 64,000) | ${MANNERS.join(" | ")} |`,
    `|---|${"---|".repeat(MANNERS.length)}`,
  ];
  for (const way of WAYS) {
    if (way.needs !== undefined && !hasCommand(way.needs)) continue;
    const cells = await Promise.all(MANNERS.map(async (manner) => {
      const found: number[] = [];
      for (let number = 0; number < trials; number++) {
        found.push(await trial(way, manner, number, await Deno.makeTempDir({ dir })));
      }
      return Math.max(...found).toLocaleString("en");
    }));
    lines.push(`| ${way.name} | ${cells.join(" | ")} |`);
    console.error(lines.at(-1));
  }
  return lines;
}
