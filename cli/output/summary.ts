/**
 * What a run came to, in a few lines, each trouble with what can be done about it.
 */
import type { Summary } from "../../lib/observe/mod.ts";
import { count, formatBytes, formatDuration } from "./format.ts";

/** Nothing was found to move, by exit code: that is not the same as nothing there. */
const TROUBLE: Record<number, string> = {
  1: 'Nothing found: a source could not be listed, see "filesync status" or above',
  5: 'Nothing found: a device is away or held, see "filesync status" or above',
  6: 'Nothing found: a device denies access, see "filesync status" or above',
  3: "Nothing found: a device refuses its settings, see above",
  8: "Nothing found: a plugin failed, see above",
};

/**
 * Lines without line ends; the first one is always there.
 * @param options `stopped`: by a person, who need not be told to go on; `severalTargets`: a file is delivered more
 * than once
 */
export function summaryLines(
  summary: Summary,
  options: { stopped?: boolean; severalTargets?: boolean } = {},
): string[] {
  const lines: string[] = [];
  const took = `in ${formatDuration(summary.elapsedMs)}`;
  if (summary.delivered > 0) {
    const what = options.severalTargets === true
      ? `${count(summary.delivered, "delivery", "deliveries")} made`
      : `${count(summary.delivered, "file")} delivered`;
    lines.push(`${what} (${formatBytes(summary.deliveredBytes)}) ${took}`);
  } else if (summary.left + summary.parked + summary.uncertain === 0) {
    lines.push(TROUBLE[summary.exitCode] ?? `Nothing to do: all is delivered (looked ${took})`);
  } else {
    lines.push(`Nothing delivered ${took}`);
  }
  if (summary.parked > 0) {
    lines.push(`${count(summary.parked, "file is", "files are")} parked: see "filesync status" for the reasons`);
  }
  if (summary.uncertain > 0) {
    lines.push(
      `${
        count(summary.uncertain, "delivery is", "deliveries are")
      } uncertain: see "filesync status", and look on the target`,
    );
  }
  if (summary.gone > 0) {
    lines.push(`${count(summary.gone, "file")} vanished from the source before being fetched`);
  }
  if (summary.left > 0) {
    lines.push(
      `${count(summary.left, "file is", "files are")} still to be moved: ${
        options.stopped === true
          ? `the next run goes on with ${summary.left === 1 ? "it" : "them"}`
          : `see "filesync status" for what ${summary.left === 1 ? "it waits" : "they wait"} for`
      }`,
    );
  }
  return lines;
}
