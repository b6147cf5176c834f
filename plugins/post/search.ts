/**
 * Did it land? A Flight Review lists public logs and searches their descriptions, where each upload of ours has its tag.
 * Its answer has no description in it, so a row that was found is believed because nothing is found by another tag.
 */
import { type Call, DriverError, type UploadParams } from "../../lib/driver/mod.ts";
import { LivingCall } from "../../lib/protocol/serve.ts";
import { pause } from "../http/pause.ts";
import { searchRefused } from "./answer.ts";
import type { PostConfig } from "./config.ts";
import { tagOf } from "./flight_review.ts";
import { fetchText } from "./reach.ts";

/**
 * A log is listed once the server has read it: measured at 10 MB/s on one core, and others may be read before it. So long
 * a log that is not there yet is looked for.
 */
const READ_MS_MIN = 3_000;
const READ_BYTES_PER_MS = 1_000;
const READ_MS_MAX = 180_000;
/** Between two looks, milliseconds; each time twice as long. */
const LOOK_MS = 500;
const LOOK_MS_MAX = 15_000;

/** What a search has found. */
export interface Found {
  /** Logs that the server counts. */
  count: number;
  /** A link to the newest of them, when it names one. */
  link?: string;
  /** The answer itself has the tag. */
  isNamed: boolean;
}

/** Time that passes between two looks; tests bring their own. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<void>;

/**
 * The link to the log with these bytes, `""` when it is there and has none; `undefined` when it did not land.
 * @throws {DriverError} `unavailable` when the server cannot be asked now, `uncertain` when its answer tells nothing
 */
export async function findLog(
  config: PostConfig,
  params: Pick<UploadParams, "sha256" | "sizeBytes">,
  call: Call,
  wait: Pause = pause,
): Promise<string | undefined> {
  using living = new LivingCall(call, 0);
  const tag = tagOf(params.sha256);
  let leftMs = Math.min(READ_MS_MAX, READ_MS_MIN + params.sizeBytes / READ_BYTES_PER_MS);
  for (let waitMs = LOOK_MS;; waitMs = Math.min(2 * waitMs, LOOK_MS_MAX)) {
    const found = await search(config, tag, living);
    if (found.count > 0) {
      if (!found.isNamed) await assertSearches(config, params.sha256, living);
      return found.link ?? "";
    }
    if (leftMs <= 0) return undefined;
    await wait(Math.min(waitMs, leftMs), living.signal);
    leftMs -= waitMs;
  }
}

/** A server that does not search, and lists all that it has, would tell of any log that it landed. */
async function assertSearches(config: PostConfig, sha256: string, call: Call): Promise<void> {
  const nobodys = tagOf([...sha256].reverse().join(""));
  if (nobodys === tagOf(sha256) || (await search(config, nobodys, call)).count === 0) return;
  throw new DriverError("uncertain", "Server's search finds what it was not asked for", {
    hint: "Look whether the log is there; then run filesync retry or filesync forget",
  });
}

async function search(config: PostConfig, tag: string, call: Call): Promise<Found> {
  const { status, text } = await fetchText(config, searchUrl(config.url, tag), call.signal);
  if (status !== 200) throw searchRefused(status);
  return readSearch(text, tag, config.url);
}

/** Where to ask for an upload with `tag`, beside the address of the form. */
export function searchUrl(uploaderUrl: URL, tag: string): URL {
  const url = new URL("browse_data_retrieval", uploaderUrl);
  for (
    const [name, value] of Object.entries({
      draw: "1",
      start: "0",
      length: "10",
      "order[0][column]": "1",
      "order[0][dir]": "desc",
      "search[value]": tag,
    })
  ) url.searchParams.set(name, value);
  return url;
}

/**
 * What the answer to a search says.
 * @throws {DriverError} `unavailable` when a page came instead, `uncertain` when it is no such answer
 */
export function readSearch(text: string, tag: string, uploaderUrl: URL): Found {
  let answer: { data?: unknown; recordsFiltered?: unknown } | null;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  const rows = answer?.data;
  if (!Array.isArray(rows)) {
    if (/^\s*</.test(text)) {
      throw new DriverError("unavailable", "Something else than the upload server answers the search", {
        hint: "A network that wants a login first looks so",
      });
    }
    throw new DriverError("uncertain", "Server's search answers with something else than a list");
  }
  const words = rows.map((row) => JSON.stringify(row) ?? "");
  // A log that the server cannot read for its list is counted and has no row.
  const counted = typeof answer?.recordsFiltered === "number" ? answer.recordsFiltered : 0;
  const named = words.find((row) => row.includes(tag));
  const link = /\/?plot_app\?log=[0-9a-fA-F-]{36}/.exec(named ?? words[0] ?? "")?.[0];
  return {
    count: Math.max(counted, rows.length),
    isNamed: named !== undefined,
    ...(link === undefined ? {} : { link: new URL(link, uploaderUrl).href }),
  };
}
