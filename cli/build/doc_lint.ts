/** Which complaints of `deno doc --lint` count here. */

/**
 * The complaints of `deno doc --lint` that the house takes: every exported symbol is documented. Members are documented
 * where their name does not say it all, and a type may lean on one that is not exported, so those are passed over.
 * @param output what the command printed
 * @returns one line for each complaint, empty when none is left
 */
export function demandedDocs(output: string): string {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const complaints = [
    ...plain.matchAll(/^error\[(?<kind>[\w-]+)\]: (?<words>.*)\n\s*--> (?<place>.*?):(?<row>\d+):(?<column>\d+)$/gm),
  ];
  // Not a list of complaints but a failure of the command itself.
  if (complaints.length === 0) return plain;
  const lines = complaints.flatMap(({ groups }) => {
    const { kind, words, place = "", row, column } = groups ?? {};
    if (kind === "private-type-ref" || (kind === "missing-jsdoc" && column !== "1")) return [];
    return [`${place.replace(`${Deno.cwd()}/`, "")}:${row}: ${words}`];
  });
  return [...new Set(lines)].join("\n");
}
