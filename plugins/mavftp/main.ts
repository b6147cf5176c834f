/** The plugin process of the `mavftp` driver. */
import { serve, type ServeManifest } from "../../lib/protocol/serve.ts";
import { MavftpDriver } from "./driver.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

if (import.meta.main) await serve(new MavftpDriver(), manifest as ServeManifest);
