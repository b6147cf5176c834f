/** Writes `plugins/protocol.schema.json` anew: `deno run -A cli/build/protocol_schema.ts`. */
import { protocolJsonSchema } from "../../lib/protocol/schema.ts";

if (import.meta.main) {
  const file = new URL("../../plugins/protocol.schema.json", import.meta.url);
  Deno.writeTextFileSync(file, JSON.stringify(protocolJsonSchema(), undefined, 2) + "\n");
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", decodeURI(file.pathname)] }).spawn().status;
}
