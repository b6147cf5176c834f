/** The process of the `local` driver. */
import { serve } from "../../lib/protocol/serve.ts";
import { LocalDriver } from "./driver.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

/** Serves the host on stdin and stdout until it is told to end. */
export async function main(): Promise<void> {
  await serve(new LocalDriver(), manifest);
}

if (import.meta.main) await main();
