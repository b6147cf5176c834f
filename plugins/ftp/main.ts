/** The plugin process of the `ftp` driver. */
import { serve, type ServeManifest } from "../../lib/protocol/serve.ts";
import { FtpDriver } from "./driver.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

if (import.meta.main) await serve(new FtpDriver(), manifest as ServeManifest);
