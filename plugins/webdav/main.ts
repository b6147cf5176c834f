/** The process of the `webdav` driver. */
import { serve, type ServeManifest } from "../../lib/protocol/serve.ts";
import { WebdavDriver } from "./driver.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

/** Serves the host on stdin and stdout until it is told to end. */
export async function main(): Promise<void> {
  await serve(new WebdavDriver(), manifest as ServeManifest);
}

if (import.meta.main) await main();
