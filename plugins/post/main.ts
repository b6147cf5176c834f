/** The process of the `post` driver. */
import { serve, type ServeManifest } from "../../lib/protocol/serve.ts";
import { PostDriver } from "./driver.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

if (import.meta.main) await serve(new PostDriver(), manifest as ServeManifest);
