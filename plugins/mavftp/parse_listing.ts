/** Records of a listing as autopilots send them: NUL-separated, `F<name>\t<size>`, `D<name>`, `S` for one to skip. */
import { pathProblem } from "../../lib/driver/mod.ts";

/** One name in a directory. */
export interface ListedName {
  kind: "file" | "directory";
  /** As it is shown; bytes that are no UTF-8 are U+FFFD. */
  name: string;
  sizeBytes?: number;
  /** Seconds since 1970, where the autopilot tells it. */
  modifiedSeconds?: number;
  /** Why the name cannot be used. */
  problem?: string;
}

/** One page of a listing. */
export interface ListingPage {
  names: ListedName[];
  /** By how much the index moves: `S` and what is not understood count, empty strings do not. */
  recordCount: number;
  /** Records that told no name. */
  skippedCount: number;
}

const NUL = 0;
const TAB = 9;
const FILE = 0x46;
const DIRECTORY = 0x44;
const strict = new TextDecoder("utf-8", { fatal: true });
const lenient = new TextDecoder("utf-8");

/** The page in the data of a reply to `ListDirectory` or, `withTime`, to `ListDirectoryWithTime`. */
export function parseListing(data: Uint8Array, withTime: boolean): ListingPage {
  const page: ListingPage = { names: [], recordCount: 0, skippedCount: 0 };
  for (let at = 0; at < data.length;) {
    const nul = data.indexOf(NUL, at);
    const end = nul < 0 ? data.length : nul;
    // ArduPilot before 2026 put a second NUL after each record.
    if (end > at) {
      page.recordCount++;
      const listed = parseRecord(data.subarray(at, end), withTime);
      if (listed === undefined) page.skippedCount++;
      else page.names.push(listed);
    }
    at = end + 1;
  }
  return page;
}

function parseRecord(record: Uint8Array, withTime: boolean): ListedName | undefined {
  const kind = record[0];
  if ((kind !== FILE && kind !== DIRECTORY) || record.length < 2) return undefined;
  let nameEnd = record.length;
  const numbers: (number | undefined)[] = [];
  // Numbers are behind the last tabs, so that a name may hold one; a directory may come without any.
  for (let field = withTime ? 2 : 1; field > 0; field--) {
    const tab = record.subarray(0, nameEnd).lastIndexOf(TAB);
    if (tab < 1) break;
    numbers.unshift(numberOf(record.subarray(tab + 1, nameEnd)));
    nameEnd = tab;
  }
  const nameBytes = record.subarray(1, nameEnd);
  if (nameBytes.length === 0) return undefined;
  if (kind === FILE && numbers[0] === undefined) return undefined;
  const listed: ListedName = { kind: kind === FILE ? "file" : "directory", ...nameOf(nameBytes) };
  if (listed.name === "." || listed.name === "..") return undefined;
  if (kind === FILE) listed.sizeBytes = numbers[0]!;
  // 0 says that the time is not known.
  if (withTime && (numbers[1] ?? 0) > 0) listed.modifiedSeconds = numbers[1]!;
  return listed;
}

function numberOf(bytes: Uint8Array): number | undefined {
  const text = lenient.decode(bytes);
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function nameOf(bytes: Uint8Array): { name: string; problem?: string } {
  let name: string;
  try {
    name = strict.decode(bytes);
  } catch {
    return { name: lenient.decode(bytes).replaceAll("/", "\ufffd"), problem: "name is not valid UTF-8" };
  }
  if (name.includes("/")) return { name: name.replaceAll("/", "\ufffd"), problem: 'name holds "/"' };
  const problem = pathProblem(name);
  return problem === undefined ? { name } : { name, problem };
}
