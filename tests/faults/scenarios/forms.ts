/**
 * Upload forms: broken at every 1/64, answered oddly at each step, taken and told as failed, and a network that wants a
 * login first. Nothing resumes there, so what counts is that each file is there once.
 */
import type { FlightReview, Misbehaviour } from "../../support/flight_review.ts";
import { Pipeline } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";

const PARTS = 64;
/** Longest that anything may take, milliseconds. */
const PATIENCE_MS = 600_000;

/** Files for so many faults: a retry meets the next one, so that some are hit again and again. */
function logs(count: number, random: () => number): Record<string, number> {
  const names = Array.from({ length: count }, (_, n) => `sess${n % 3}/log ${n}.ulg`);
  return Object.fromEntries(names.map((name) => [name, 50_000 + Math.floor(random() * 250_000)]));
}

interface Run {
  files: number;
  options: RunOptions;
  random: () => number;
  /** Sets the server up; returns how many faults have struck. */
  harm: (server: FlightReview, pipeline: Pipeline) => () => number;
  /** Done while the program runs. */
  meanwhile?: (server: FlightReview, pipeline: Pipeline) => Promise<void>;
}

async function run(protocol: string, { files, options, random, harm, meanwhile }: Run): Promise<Outcome> {
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal: options.signal,
    files: logs(files, random),
    // All faults in one run, and a file may meet many of them.
    job: { attempts: 50 },
  });
  const { server } = pipeline.target.form!;
  const struck = harm(server, pipeline);
  pipeline.start();
  await meanwhile?.(server, pipeline);
  await pipeline.untilDelivered(PATIENCE_MS);
  return await pipeline.finish({ runs: struck(), resentLimitBytes: null });
}

/** Does each of `acts` once, and lets an upload pass between two. */
function inTurn(server: FlightReview, acts: (Misbehaviour | ((lengthBytes: number) => Misbehaviour))[]): () => number {
  let count = 0;
  let isPause = false;
  server.onUpload = (lengthBytes) => {
    if (isPause || acts.length === 0) {
      isPause = false;
      return undefined;
    }
    isPause = true;
    count++;
    const act = acts.shift()!;
    return typeof act === "function" ? act(lengthBytes) : act;
  };
  return () => count;
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list.map((value) => ({ value, at: random() })).sort((a, b) => a.at - b.at).map(({ value }) => value);
}

/** 64 of 64: all has come, and nothing is kept of it. */
function cut(protocol: string, options: RunOptions): Promise<Outcome> {
  const random = seededRandom(options.seed);
  const all = Array.from({ length: PARTS + 1 }, (_, n) => n);
  const places = options.scale === "full" ? all : [0, 1 + Math.floor(random() * (PARTS - 1)), PARTS];
  const acts = places.flatMap((place) =>
    (["close", "reset"] as const).map((how) => (lengthBytes: number): Misbehaviour => ({
      cutAtByte: Math.max(1, Math.floor(lengthBytes * place / PARTS)),
      how,
    }))
  );
  return run(protocol, {
    files: 2 * acts.length,
    options,
    random,
    harm: (server) => inTurn(server, shuffled(acts, random)),
  });
}

/** Answers that say nothing about the file: it is sent again, and once. */
const STATUSES = [404, 408, 425, 429, 500, 502, 503, 504, 507, 520];
const PLACES = [true, "middle", undefined] as const;

function answers(protocol: string, options: RunOptions): Promise<Outcome> {
  const random = seededRandom(options.seed);
  const statuses = options.scale === "full" ? STATUSES : shuffled(STATUSES, random).slice(0, 2);
  const acts = statuses.flatMap((status) =>
    PLACES.map((early): Misbehaviour => ({
      status,
      body: `<html><title>${status}</title></html>`,
      ...(early === undefined ? {} : { early }),
    }))
  );
  return run(protocol, {
    files: 2 * acts.length,
    options,
    random,
    harm: (server) => inTurn(server, shuffled(acts, random)),
  });
}

/** Taken, and nobody was told so; the first searches for it fail too. */
function lost(protocol: string, options: RunOptions): Promise<Outcome> {
  const random = seededRandom(options.seed);
  const times = options.scale === "full" ? 8 : 1;
  const acts = Array.from({ length: times }).flatMap((): Misbehaviour[] => [
    "lose answer",
    ...[500, 502, 503, 504].map((status): Misbehaviour => ({ status, taken: true })),
    { status: 200, body: "<html>Welcome</html>", taken: true },
  ]);
  return run(protocol, {
    files: 2 * acts.length,
    options,
    random,
    harm: (server) => {
      server.searchStatuses.push(...[500, 502, 503, 429].slice(0, options.scale === "full" ? 4 : 2));
      return inTurn(server, shuffled(acts, random));
    },
  });
}

const PORTALS: FlightReview["portal"][] = [
  { status: 200, body: "<html><title>Welcome to the hotel</title><form>Room</form></html>" },
  { status: 302, body: "", headers: { Location: "http://login.invalid/?from=here" } },
  { status: 511, body: "<html><title>Network Authentication Required</title></html>" },
];
/** Requests of ours that a portal answers before somebody logs in. */
const PORTAL_ANSWERS = 4;

/** An answer is lost just as the portal comes, so that it stands in the way of the question too. */
async function portal(protocol: string, options: RunOptions): Promise<Outcome> {
  const random = seededRandom(options.seed);
  const sum = emptyOutcome();
  for (const one of options.scale === "full" ? PORTALS : shuffled(PORTALS, random).slice(0, 1)) {
    let isLost = false;
    const outcome = await run(protocol, {
      files: 8,
      options,
      random,
      harm: (server, pipeline) => {
        server.onUpload = () => {
          if (isLost || pipeline.delivered.size < 2) return undefined;
          isLost = true;
          server.portal = one;
          return "lose answer";
        };
        return () => server.portalSearches > 0 ? server.portalAnswers : 0;
      },
      meanwhile: async (server, pipeline) => {
        const isEnough = () => server.portalSearches > 0 && server.portalAnswers >= PORTAL_ANSWERS;
        await pipeline.until(isEnough, 120_000);
        server.portal = undefined;
      },
    });
    addOutcome(sum, outcome);
  }
  return sum;
}

function row(name: string, fault: string, one: (protocol: string, options: RunOptions) => Promise<Outcome>): Scenario {
  return {
    name,
    fault,
    protocols: ["local->post"],
    needs: [],
    // Back-off is most of it.
    patient: true,
    run: one,
  };
}

export const FORMS: readonly Scenario[] = [
  row("form-cut", "a form cut at every 1/64, closed and reset", cut),
  row("form-answers", "a form answered 4xx and 5xx before, within and after it", answers),
  row("form-lost", "a form taken, and its answer lost or told as failed", lost),
  row("portal", "a network that wants a login first answers in the server's place", portal),
];
