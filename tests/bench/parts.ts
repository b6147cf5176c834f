/** Measurements that stand beside the comparison with peers, each with a section of its own in RESULTS.md. */
import { loadavg } from "node:os";
import { writeSection } from "./results.ts";

/** One measurement. */
export interface Part {
  name: string;
  title: string;
  what: string;
  /** Lines of Markdown; `dir` is for its files. */
  run(dir: string, rounds: number): Promise<string[]>;
}

/**
 * Measures what is named: all parts by the group's name or by no name at all, or single ones (`<group>-<part>`).
 * @param rounds how often what varies is repeated
 */
export async function measureParts(
  group: string,
  parts: readonly Part[],
  { names, rounds }: { names: readonly string[]; rounds: number },
): Promise<void> {
  for (const { name, title, what, run } of parts) {
    const full = `${group}-${name}`;
    if (names.length > 0 && !names.includes(group) && !names.includes(full)) continue;
    console.error(`${full}: ${what}`);
    const dir = await Deno.makeTempDir({ prefix: "filesync-bench-" });
    try {
      const lines = await run(dir, rounds);
      const load = `\`deno task bench ${full}\`, load average ${
        loadavg()[0]!.toFixed(0)
      } on ${navigator.hardwareConcurrency} cores`;
      writeSection(full, [`## ${group}: ${title}`, "", what, "", ...lines, "", load].join("\n"));
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  }
}
