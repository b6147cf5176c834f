/** The system's own tools, by argv and without a shell. */
import { DriverError } from "../../lib/driver/mod.ts";

export interface ToolAnswer {
  ok: boolean;
  code: number;
  out: string;
  /** What it said on stderr, in one line. */
  words: string;
}

/** A device whose driver hangs must not hang us, milliseconds. */
const PATIENCE_MS = 30_000;

/** Runs a tool in English; one that is not installed answers with the code 127. */
export async function run(tool: string, args: string[]): Promise<ToolAnswer> {
  try {
    const { success, code, stdout, stderr } = await new Deno.Command(tool, {
      args,
      stdin: "null",
      env: { LC_ALL: "C" },
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).output();
    const words = new TextDecoder().decode(stderr).trim().replace(/\s+/g, " ").slice(0, 500);
    return { ok: success, code, out: new TextDecoder().decode(stdout), words };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { ok: false, code: 127, out: "", words: `${tool} is not installed` };
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new DriverError("denied", `Cannot run ${tool}: ${error.message}`);
    }
    throw error;
  }
}
