/**
 * A link of this machine to itself that takes its time, for any server and any client: the server listens on `near`, its
 * clients go to `far`. Every connection between them is the kernel's own TCP, also an FTP server's data connections, with
 * a round trip, packets of 1,500 bytes, no limit of speed, and losses where they are wanted.
 */
import { hasCommand } from "./needs.ts";

export interface DelayingLink {
  /** Address that servers listen on; also reached by it, without a delay. */
  near: string;
  /** Address by which they are reached over the link. */
  far: string;
  stop(): Promise<void>;
}

/** Whether this machine lets one be made: TUN, `ip` and the rights to use them. */
export function hasDelayingLink(): boolean {
  try {
    return Deno.uid() === 0 && hasCommand("ip") && Deno.statSync("/dev/net/tun").isCharDevice === true;
  } catch {
    return false;
  }
}

/**
 * Makes a link.
 * @param options.roundTripMs there and back, milliseconds
 * @param options.lossPercent packets that are lost each way, in hundred
 */
export async function startDelayingLink(options: { roundTripMs: number; lossPercent?: number }): Promise<DelayingLink> {
  const { roundTripMs, lossPercent = 0 } = options;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-prompt",
      new URL("./delaying_link_main.ts", import.meta.url).pathname,
      String(roundTripMs),
      String(lossPercent),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let words = "";
  while (!words.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Cannot make a delaying link: its process ended with ${(await child.status).code}`);
    words += value;
  }
  const [near, far] = words.trim().split(" ") as [string, string];
  return {
    near,
    far,
    async stop() {
      // It ends with its standard input.
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    },
  };
}
