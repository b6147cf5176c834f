/** A WebDAV server behind a bad network: cut at every 1/64, each request answered oddly, and done without a word. */
import type { HttpRelay, RelayFault } from "../../support/http_relay.ts";
import { Pipeline, RESENT_FILE_BYTES } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

const PARTS = 64;
/** Longest that anything may take, milliseconds. */
const PATIENCE_MS = 600_000;
/** From this size on the driver finds out how the server adds bytes, and goes on where a cut upload stopped. */
const CUT_BYTES_MIN = 4 * 1024 * 1024;

function relayOf(pipeline: Pipeline): HttpRelay {
  return (pipeline.source.dav ?? pipeline.target.dav)!;
}

/** One file for each place, each broken there once. */
async function cut(protocol: string, options: RunOptions): Promise<Outcome> {
  const random = seededRandom(options.seed);
  const all = Array.from({ length: PARTS }, (_, n) => n + 1);
  const places = options.scale === "full" ? all : [1 + Math.floor(random() * (PARTS - 2)), PARTS];
  const sum = emptyOutcome();
  // So many that a full run needs no room for all of them at once.
  for (let at = 0; at < places.length; at += 16) {
    addOutcome(sum, await cutEach(protocol, places.slice(at, at + 16), random, options));
  }
  return sum;
}

async function cutEach(
  protocol: string,
  places: number[],
  random: () => number,
  { signal }: RunOptions,
): Promise<Outcome> {
  const files: Record<string, number> = {};
  for (const place of places) files[`cut ${place}.bin`] = CUT_BYTES_MIN + Math.floor(random() * 2_000_000);
  await using pipeline = await Pipeline.open({ protocol, seed: Math.floor(random() * 2 ** 31), signal, files });
  const broken = new Set<string>();
  relayOf(pipeline).onRequest = (method, path) => {
    const file = pipeline.fileOf(path);
    // The last upload of a file is the one with its bytes: before it, the file is made empty.
    if (file === undefined || broken.has(file.path) || !["PUT", "GET"].includes(method)) return undefined;
    if (method === "PUT" && !hasBytes(pipeline, path)) return undefined;
    broken.add(file.path);
    const place = Number(/(\d+)\.bin$/.exec(file.path)![1]);
    const atByte = Math.max(1, Math.floor(file.sizeBytes * place / PARTS));
    return method === "GET" ? { cutReplyAtByte: atByte } : { cutRequestAtByte: atByte };
  };
  pipeline.start();
  await pipeline.untilDelivered(PATIENCE_MS);
  return await pipeline.finish({ runs: broken.size, resentLimitBytes: broken.size * RESENT_FILE_BYTES });
}

/** Whether the file that is gathered under a temporary name was made: the next PUT brings bytes. */
function hasBytes(pipeline: Pipeline, path: string): boolean {
  return relayOf(pipeline).transfers.some(({ verb, path: other }) => verb === "PUT" && other === path);
}

const METHODS: Record<string, readonly string[]> = {
  "local->webdav": ["PROPFIND", "PUT", "MKCOL", "MOVE"],
  "webdav->local": ["PROPFIND", "GET"],
};
/** Answers that say nothing about the file: it is moved again, and once. */
const ANSWERS: readonly RelayFault[] = [
  ...[408, 423, 429, 500, 502, 503, 504, 507, 520].map((status) => ({ status, body: `<html>${status}</html>` })),
  { status: 503, headers: { "Retry-After": "1" } },
  { status: 200, body: "<html><title>Welcome to the hotel</title></html>" },
  { status: 302, headers: { Location: "http://login.invalid/" } },
  { status: 511, body: "<html><title>Network Authentication Required</title></html>" },
];
/** It was done, and nobody was told so. */
const LOST: readonly RelayFault[] = [
  "lose answer",
  ...[500, 502, 503, 504].map((status) => ({ status, isDone: true })),
];

/** Each fault once for each method, at requests that the seed picks: a retry does not always meet the next one. */
function harm(
  faults: readonly RelayFault[],
): (protocol: string, options: RunOptions) => Promise<Outcome> {
  return async (protocol, options) => {
    const random = seededRandom(options.seed);
    const methods = METHODS[protocol]!;
    const some = options.scale === "full" ? faults : shuffled(faults, random).slice(0, 2);
    const left = new Map(methods.map((method) => [method, shuffled(some, random)]));
    const files: Record<string, number> = {};
    const count = 3 * some.length;
    for (let n = 0; n < count; n++) files[`sess${n}/log ${n}.ulg`] = 1 + Math.floor(random() * 300_000);
    await using pipeline = await Pipeline.open({
      protocol,
      seed: Math.floor(random() * 2 ** 31),
      signal: options.signal,
      files,
      // All faults in one run, and a file may meet many of them.
      job: { attempts: 50 },
    });
    let struck = 0;
    const seen = new Set<string>();
    relayOf(pipeline).onRequest = (method) => {
      const isFirst = !seen.has(method);
      seen.add(method);
      // The first one meets a fault, so that none of the methods is left out.
      const fault = isFirst || random() < 0.4 ? left.get(method)?.shift() : undefined;
      if (fault !== undefined) struck++;
      return fault;
    };
    pipeline.start();
    await pipeline.untilDelivered(PATIENCE_MS);
    return await pipeline.finish({ runs: struck, resentLimitBytes: null });
  };
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list.map((value) => ({ value, at: random() })).sort((a, b) => a.at - b.at).map(({ value }) => value);
}

function row(name: string, fault: string, run: Scenario["run"]): Scenario {
  return {
    name,
    fault,
    protocols: ["local->webdav", "webdav->local"],
    needs: ["root", "apache2"],
    // Back-off is most of it.
    patient: true,
    run,
  };
}

export const WEBDAV: readonly Scenario[] = [
  row("dav-cut", "a WebDAV transfer cut at every 1/64", cut),
  row("dav-answers", "each WebDAV request answered 4xx, 5xx, or by a captive portal", harm(ANSWERS)),
  row("dav-lost", "each WebDAV request done, and its answer lost or told as failed", harm(LOST)),
];
