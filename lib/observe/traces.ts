/**
 * OpenTelemetry: the journey of a file is one trace, from the listing that found it to the last receipt. Spans are made
 * of events, so no station knows of them; Deno's own exporter sends them (`OTEL_DENO=true`).
 */
import { type Context, context, type Span, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import type { EventBus, FilesyncEvent } from "./events.ts";
import type { EventTeller } from "./told_event.ts";

/** Journeys that are under way at once; of more the oldest are told as far as they came. */
const JOURNEYS_MAX = 10_000;

/** What traces are made of. */
export interface TraceOptions {
  events: EventBus;
  teller: EventTeller;
  /** How many targets each job has. */
  targetsOf: ReadonlyMap<string, number>;
  version: string;
}

interface Journey {
  root: Span;
  context: Context;
  /** When its download began, and when it was in the spool, milliseconds since 1970 UTC. */
  downloadMs: number;
  spooledMs: number;
  /** When each target's upload began. */
  uploadMs: Map<string, number>;
  /** Targets that have not got it yet. */
  left: number;
}

/** Makes traces of events; the returned function ends that, and those that are under way. */
export function traceJourneys(options: TraceOptions): () => void {
  const traces = new Traces(options);
  const stop = options.events.listen((event) => traces.apply(event));
  return () => {
    stop();
    traces.end();
  };
}

class Traces {
  readonly #options: TraceOptions;
  readonly #tracer: Tracer;
  readonly #journeys = new Map<string, Journey>();

  constructor(options: TraceOptions) {
    this.#options = options;
    this.#tracer = trace.getTracer("filesync", options.version);
  }

  apply(event: FilesyncEvent): void {
    const atMs = Date.parse(event.time);
    switch (event.event) {
      case "found":
        this.#finish(event, atMs);
        this.#begin(event, atMs);
        break;
      case "progress": {
        const journey = this.#journey(event, atMs);
        if (event.target === undefined) journey.downloadMs ||= atMs;
        else if (!journey.uploadMs.has(event.target)) journey.uploadMs.set(event.target, atMs);
        break;
      }
      case "downloaded": {
        const journey = this.#journey(event, atMs);
        this.#span(journey, "download", [journey.downloadMs || atMs, atMs], {
          "filesync.device": this.#options.teller.deviceOf(event.job, undefined),
          "filesync.resumed_bytes": event.resumedBytes,
          "file.sha256": event.sha256,
        });
        journey.spooledMs = atMs;
        break;
      }
      case "delivered":
        this.#upload(event, event.target, atMs, {
          "filesync.receipt.path": event.receipt.path,
          "filesync.receipt.verified": event.receipt.verified,
          "url.full": event.receipt.url,
        });
        break;
      case "parked":
        if (event.target === undefined) this.#finish(event, atMs, event.reason);
        else this.#upload(event, event.target, atMs, { "error.type": event.code }, event.reason);
        break;
      case "uncertain":
        this.#upload(event, event.target, atMs, { "error.type": "uncertain" }, event.reason);
        break;
      case "gone":
        this.#finish(event, atMs);
    }
  }

  end(): void {
    for (const { root } of this.#journeys.values()) root.end();
    this.#journeys.clear();
  }

  /** The journey of an event's file; one that an earlier run began goes on in a trace of its own. */
  #journey(event: { job: string; path: string }, atMs: number): Journey {
    return this.#journeys.get(keyOf(event)) ?? this.#begin(event, atMs);
  }

  #begin(event: { job: string; path: string; sizeBytes?: number; generation?: number }, atMs: number): Journey {
    const root = this.#tracer.startSpan("file", {
      root: true,
      startTime: atMs,
      attributes: known({
        "filesync.job": event.job,
        "file.path": event.path,
        "file.size": event.sizeBytes,
        "filesync.generation": event.generation,
      }),
    });
    if (this.#journeys.size >= JOURNEYS_MAX) {
      const [oldest, { root: its }] = this.#journeys.entries().next().value!;
      its.end();
      this.#journeys.delete(oldest);
    }
    const journey = {
      root,
      context: trace.setSpan(context.active(), root),
      downloadMs: 0,
      spooledMs: 0,
      uploadMs: new Map<string, number>(),
      left: this.#options.targetsOf.get(event.job) ?? 1,
    };
    this.#journeys.set(keyOf(event), journey);
    return journey;
  }

  #upload(
    event: { job: string; path: string },
    target: string,
    atMs: number,
    attributes: Attributes,
    problem?: string,
  ): void {
    const journey = this.#journey(event, atMs);
    const beganMs = journey.uploadMs.get(target) ?? (journey.spooledMs || atMs);
    const device = this.#options.teller.deviceOf(event.job, target);
    const all = { "filesync.target": target, "filesync.device": device, ...attributes };
    this.#span(journey, "upload", [beganMs, atMs], all, problem);
    if (problem !== undefined) journey.root.setStatus({ code: SpanStatusCode.ERROR, message: problem });
    if (--journey.left <= 0) this.#finish(event, atMs);
  }

  #span(
    journey: Journey,
    name: string,
    [startTime, endMs]: [number, number],
    attributes: Attributes,
    problem?: string,
  ): void {
    const span = this.#tracer.startSpan(name, { startTime, attributes: known(attributes) }, journey.context);
    if (problem !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: problem });
    span.end(endMs);
  }

  #finish(event: { job: string; path: string }, atMs: number, problem?: string): void {
    const journey = this.#journeys.get(keyOf(event));
    if (journey === undefined) return;
    if (problem !== undefined) journey.root.setStatus({ code: SpanStatusCode.ERROR, message: problem });
    journey.root.end(atMs);
    this.#journeys.delete(keyOf(event));
  }
}

type Attributes = Record<string, string | number | undefined>;

function known(attributes: Attributes): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, string | number] => entry[1] !== undefined),
  );
}

function keyOf({ job, path }: { job: string; path: string }): string {
  return `${job}\n${path}`;
}
