/** What the server answers to which path. */
import { z } from "zod";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import type { Counters } from "./counters.ts";
import type { EventStream } from "./event_stream.ts";
import { metricsText } from "./metrics.ts";
import { openApiOf, type RouteDocs } from "./openapi.ts";
import { previewOf } from "./preview.ts";
import {
  errorSchema,
  filesQuerySchema,
  filesSchema,
  historySchema,
  loginSchema,
  logSchema,
  pageStatusSchema,
  retriedSchema,
  retrySchema,
  whyQuerySchema,
  whySchema,
} from "./schemas.ts";
import type { Site } from "./site.ts";
import type { Throughput } from "./throughput.ts";

/** Rows that one look through the files may read. */
const SCAN_MAX = 20_000;

/** What routes answer from. */
export interface RouteParts {
  site: Site;
  readOnly: boolean;
  stream: EventStream;
  throughput: Throughput;
  counters: Counters;
  startedMs: number;
  /** Whether files move: the engine has started and not ended. */
  isReady: () => boolean;
  /** Checks a token, and answers with the cookie that carries it. */
  login: (token: string, input: Input) => Response;
}

/** One path. */
export interface Route extends RouteDocs {
  /** It changes something. */
  changes?: boolean;
  answer: z.ZodType | string;
  handle: (input: Input) => Response | Promise<Response>;
}

/** A request, with what was checked of it. */
export interface Input {
  request: Request;
  /** The other end's address; empty for a Unix socket. */
  remote: string;
  // deno-lint-ignore no-explicit-any -- each route reads what its own schema has checked
  query: any;
  // deno-lint-ignore no-explicit-any -- as above
  body: any;
}

/** All routes but those of the page's own files. */
export function routesOf(parts: RouteParts): Route[] {
  const { site } = parts;
  const routes: Route[] = [
    {
      method: "GET",
      path: "/api/status",
      summary: "How things stand",
      answer: pageStatusSchema,
      handle: () =>
        json({
          ...site.status(),
          version: site.version,
          readOnly: parts.readOnly,
          moving: parts.stream.moving(),
        }),
    },
    {
      method: "GET",
      path: "/api/files",
      summary: "Files, the newest first",
      query: filesQuerySchema,
      answer: filesSchema,
      handle: ({ query: { q, ...rest } }) =>
        json(site.files({ ...rest, ...(q === undefined ? {} : { text: q }), scanMax: SCAN_MAX })),
    },
    {
      method: "GET",
      path: "/api/why",
      summary: "All that is known of one path",
      query: whyQuerySchema,
      answer: whySchema,
      handle: async ({ query }) => json({ schema: 1, sources: await site.why(query.path, query.job) }),
    },
    {
      method: "GET",
      path: "/api/preview",
      summary: "A look at a file that is in the spool: an image, or a summary of a log",
      query: z.object({ id: z.coerce.number().int().positive() }),
      answer: "*/*",
      handle: async ({ query }) => {
        const copy = site.copyOf(query.id);
        const preview = copy === undefined ? undefined : await previewOf(copy);
        if (preview === undefined) return new Response(null, { status: 204 });
        if (preview.kind === "log") return json(preview.summary);
        if (preview.kind === "bytes") return image(preview.type, preview.bytes);
        return image(preview.type, Readable.toWeb(createReadStream(preview.path)) as ReadableStream<Uint8Array>);
      },
    },
    {
      method: "GET",
      path: "/api/history",
      summary: "Bytes that each device moved, and the spool's use: the last hour and the last day",
      answer: historySchema,
      handle: () => json({ hour: parts.throughput.hour(), day: parts.throughput.day() }),
    },
    {
      method: "GET",
      path: "/api/log",
      summary: "The last lines of the log, the oldest first",
      answer: logSchema,
      handle: () => json({ lines: site.logTail() }),
    },
    {
      method: "GET",
      path: "/api/events",
      summary: "What happens, as server-sent events: what sync --json prints; goes on after Last-Event-ID",
      query: z.object({ last: z.string().max(64).exactOptional().describe("The same as Last-Event-ID") }),
      answer: "text/event-stream",
      handle: ({ request, query }) => {
        const body = parts.stream.open(request.headers.get("last-event-id") ?? query.last);
        if (body === undefined) return failure(503, "Too many are watching", { headers: { "retry-after": "10" } });
        return new Response(body, { headers: { "content-type": "text/event-stream", "x-accel-buffering": "no" } });
      },
    },
    {
      method: "POST",
      path: "/api/retry",
      summary: "Try again, as filesync retry does",
      body: retrySchema,
      answer: retriedSchema,
      changes: true,
      handle: async ({ body }) => json({ schema: 1, ...await site.retry(body) }),
    },
    {
      method: "POST",
      path: "/api/login",
      summary: "Exchange the token for a cookie; an empty token takes the cookie away",
      body: loginSchema,
      answer: z.object({}),
      isOpen: true,
      handle: (input) => parts.login(input.body.token, input),
    },
    {
      method: "GET",
      path: "/metrics",
      summary: "Figures for Prometheus",
      answer: "text/plain; version=0.0.4",
      handle: () =>
        new Response(
          metricsText({
            version: site.version,
            status: site.status(),
            queueAges: site.queueAges(),
            counters: parts.counters,
            nowMs: performance.now(),
            dateMs: Date.now(),
            startedMs: parts.startedMs,
          }),
          { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } },
        ),
    },
    {
      method: "GET",
      path: "/healthz",
      summary: "Whether the process answers",
      answer: "text/plain",
      isOpen: true,
      handle: () => new Response("ok\n"),
    },
    {
      method: "GET",
      path: "/readyz",
      summary: "Whether files can move: the engine has started, and its state store can be read",
      answer: "text/plain",
      isOpen: true,
      handle: () => {
        if (!parts.isReady()) return new Response("starting or stopping\n", { status: 503 });
        site.spoolBytes();
        return new Response("ok\n");
      },
    },
  ];
  routes.push({
    method: "GET",
    path: "/api/openapi.json",
    summary: "This interface",
    answer: z.looseObject({ openapi: z.string() }),
    isOpen: true,
    handle: () => json(openApiOf(routes, site.version)),
  });
  return routes;
}

/** An answer of JSON. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** An answer that says what went wrong. */
export function failure(
  status: number,
  message: string,
  { hint, headers = {} }: { hint?: string | undefined; headers?: Record<string, string> } = {},
): Response {
  const error: z.infer<typeof errorSchema> = { error: { message, ...(hint === undefined ? {} : { hint }) } };
  return json(error, status, headers);
}

function image(type: string, body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>): Response {
  return new Response(body, { headers: { "content-type": type, "cache-control": "private, max-age=3600" } });
}
