/**
 * What the shell is told when a person presses Tab: `filesync __complete WORD…`, a line each, a tab before what it means.
 * The scripts that `filesync completions` prints ask it. Nothing here is ever an error: a shell would show it.
 */
import { buildApplication, proposeCompletions } from "@stricli/core";
import { Context } from "./context.ts";
import { routes } from "./routes.ts";

/** Prints what may stand where the last of `words` is. */
export async function completeAndEnd(words: string[]): Promise<number> {
  const context = new Context({ exit: (code) => Deno.exit(code) });
  const config = namedConfig(words);
  if (config !== undefined) context.variables["FILESYNC_CONFIG"] = config;
  const application = buildApplication(routes, {
    name: "filesync",
    scanner: { caseStyle: "allow-kebab-for-camel" },
    completion: { includeAliases: false },
  });
  try {
    for (const { completion, brief } of await proposeCompletions(application, words, context)) {
      context.print(`${completion}\t${brief}`);
    }
  } catch {
    // Half a line that cannot be understood has no continuation.
  }
  return 0;
}

/** The configuration that the line names so far. */
export function namedConfig(words: readonly string[]): string | undefined {
  for (const [n, word] of words.slice(0, -1).entries()) {
    if (word.startsWith("--config=")) return word.slice("--config=".length);
    if ((word === "--config" || word === "-c") && n + 1 < words.length - 1) return words[n + 1];
  }
  return undefined;
}
