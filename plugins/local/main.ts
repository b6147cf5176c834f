/** The process of the `local` driver. */
import { serve } from "../../lib/protocol/serve.ts";
import { LocalDriver } from "./driver.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

if (import.meta.main) await serve(new LocalDriver(), manifest);
