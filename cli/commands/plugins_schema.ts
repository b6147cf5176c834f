/** `filesync plugins schema`. */
import { protocolJsonSchema } from "../../lib/protocol/schema.ts";
import { type Context, safeJson } from "../context.ts";

export type Flags = Record<never, never>;

export function run(context: Context): Promise<number> {
  context.print(safeJson(protocolJsonSchema(), 2));
  return Promise.resolve(0);
}
