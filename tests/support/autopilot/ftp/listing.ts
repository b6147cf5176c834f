/** Pages of a directory as the stacks write them. */
import type { DirectoryNode } from "../files.ts";
import type { Traits } from "../personality.ts";
import { DATA_MAX, fromLatin1 } from "../wire/ftp.ts";

export interface Page {
  records: Uint8Array;
  /** Whether entries were left when the page began. */
  isPastEnd: boolean;
}

/** The page that begins with entry `from`. */
export function listingPage(directory: DirectoryNode, from: number, traits: Traits, withTime: boolean): Page {
  const records: string[] = traits.dotEntries ? ["S", "S"] : [];
  let count = 0;
  for (const [name, node] of directory.entries) {
    // PX4 on a card that fails: one skip record, and nothing can be counted any more.
    if (directory.brokenAfter !== undefined && count++ >= directory.brokenAfter) break;
    const time = withTime ? `\t${node.kind === "file" ? node.modifiedS : 0}` : "";
    if (node.kind === "file") records.push(`F${name}\t${node.listedBytes ?? node.content.sizeBytes}${time}`);
    else records.push(withTime ? `D${name}\t0${time}` : `D${name}`);
  }
  if (directory.brokenAfter !== undefined && from >= records.length) {
    return { records: fromLatin1("S\0"), isPastEnd: false };
  }
  if (directory.brokenAfter !== undefined) records.push("S");
  const end = traits.doubleNul ? "\0\0" : "\0";
  // ArduPilot leaves the last byte free.
  const roomBytes = traits.stack === "ardupilot" ? DATA_MAX - 1 : DATA_MAX;
  let text = "";
  for (let at = from; at < records.length; at++) {
    let record = records[at]! + end;
    if (record.length > roomBytes) {
      // PX4 cuts a name that no page can hold, ArduPilot leaves it out.
      if (traits.stack === "ardupilot") continue;
      record = records[at]!.slice(0, DATA_MAX - 1) + "\0";
    }
    if (text.length + record.length > roomBytes) break;
    text += record;
  }
  return { records: fromLatin1(text), isPastEnd: from >= records.length };
}
