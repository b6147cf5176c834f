/** Names that a job's rules are about, made from its patterns: what is true of them is true of the files. */
import { compilePattern, compileRules, type Rules } from "../../finder/rules.ts";

/** What stands for any run of characters: nobody's pattern holds these, so only a star can match them. */
const RUNS = ["\ue000", "\ue000\ue001\ue000\ue002\ue001\ue000\ue002"];
const ONE = "\ue003";

/** Paths that the include patterns match. */
export function samplesOf(rules: Rules): string[] {
  return rules.include.flatMap((pattern) =>
    RUNS.flatMap((run) => {
      const sample = fill(pattern, run);
      if (!compilePattern(pattern)(sample)) return [];
      return [pattern.startsWith("/") ? sample.slice(1) : sample];
    })
  );
}

/** `pattern` with each of its wildcards filled in. */
function fill(pattern: string, run: string): string {
  return pattern.replace(/\*+|\?|\[!?\]?[^\]]*\]/g, (wildcard) => {
    if (wildcard.startsWith("*")) return run;
    if (wildcard === "?" || wildcard.startsWith("[!")) return ONE;
    return [...wildcard][1] ?? "";
  });
}

/** Whether the rules leave out all that they take in. */
export function takesNothing(rules: Rules): boolean {
  const samples = samplesOf(rules);
  const isWanted = compileRules(rules);
  return samples.length > 0 && !samples.some((path) => isWanted(path));
}
