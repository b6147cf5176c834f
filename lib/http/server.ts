/**
 * The status page: off unless it is asked for, for this machine alone unless a token was made. Files move whether anybody
 * looks or not: what is served is bounded, and nothing waits for a browser.
 */
import { lstatSync, rmSync } from "node:fs";
import type { z } from "zod";
import { Access, cookieOf, type Refusal } from "./access.ts";
import { type Asset, ASSETS, CONTENT_SECURITY_POLICY } from "./assets.ts";
import { Counters } from "./counters.ts";
import { EventStream } from "./event_stream.ts";
import { failure, type Input, json, type Route, routesOf } from "./routes.ts";
import { type HttpSettings, isLocal, type ListenAddress, showAddress } from "./settings.ts";
import type { Site } from "./site.ts";
import { Throughput } from "./throughput.ts";
import { hasToken } from "./token.ts";

/** Longest body of a request, bytes. */
const BODY_MAX = 64 * 1024;
/** How long answers that are under way have at the end, milliseconds. */
const END_MS = 500;

/** A failure to serve, with what to do. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  /** `usage`: the settings ask for what is not to be had. */
  readonly code: "usage" | "in_use" | "denied" | "unavailable";
  readonly hint: string | undefined;

  constructor(code: HttpError["code"], message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}

/** The page being served. */
export interface HttpServer {
  address: ListenAddress;
  close(): Promise<void>;
}

/**
 * Serves the page until it is closed.
 * @throws {HttpError} when the address cannot be served, or only with a token that nobody has made yet
 */
export function startHttpServer(site: Site, settings: HttpSettings): HttpServer {
  if (!isLocal(settings.listen) && settings.proxy === undefined && !hasToken(settings.tokenFile)) {
    throw new HttpError(
      "usage",
      "Cannot serve the page to other machines without a token",
      "filesync token makes one and shows it once; 127.0.0.1 needs none",
    );
  }
  return new PageServer(site, settings);
}

class PageServer implements HttpServer {
  readonly address: ListenAddress;
  readonly #site: Site;
  readonly #settings: HttpSettings;
  readonly #access: Access;
  readonly #routes: Map<string, Route>;
  readonly #stream: EventStream;
  readonly #server: Deno.HttpServer;
  readonly #stop: () => void;
  #isReady = false;

  constructor(site: Site, settings: HttpSettings) {
    this.#site = site;
    this.#settings = settings;
    this.#access = new Access(settings);
    const throughput = new Throughput(site.teller);
    const counters = new Counters();
    this.#stream = new EventStream(site);
    this.#routes = new Map(
      routesOf({
        site,
        readOnly: settings.readOnly,
        stream: this.#stream,
        throughput,
        counters,
        startedMs: Date.now(),
        isReady: () => this.#isReady,
        login: (token, input) => this.#login(token, input),
      }).map((route) => [`${route.method} ${route.path}`, route]),
    );
    this.#server = this.#listen();
    const { addr } = this.#server;
    this.address = "hostname" in addr ? { hostname: addr.hostname, port: addr.port } : settings.listen;
    const stopListening = site.events.listen((event) => {
      if (event.event === "start") this.#isReady = true;
      if (event.event === "summary") this.#isReady = false;
      throughput.apply(event);
      counters.apply(event, performance.now());
    });
    const stepping = setInterval(() => throughput.step(spoolBytes(site), Date.now()), throughput.stepMs);
    this.#stop = () => {
      stopListening();
      clearInterval(stepping);
    };
  }

  async close(): Promise<void> {
    this.#stop();
    this.#stream.close();
    // A browser keeps its connection: it is not waited for.
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([this.#server.shutdown(), new Promise((resolve) => timer = setTimeout(resolve, END_MS))]);
    clearTimeout(timer);
    if ("path" in this.#settings.listen) rmSync(this.#settings.listen.path, { force: true });
  }

  #listen(): Deno.HttpServer<Deno.Addr> {
    const { listen } = this.#settings;
    const options = { onListen: () => {}, onError: (error: unknown) => this.#onError(error) };
    const handler = (request: Request, info: Deno.ServeHandlerInfo<Deno.Addr>) => this.#handle(request, info);
    try {
      if (!("path" in listen)) return Deno.serve({ ...options, ...listen }, handler);
      removeStale(listen.path);
      // Others of our group may ask, the rest of the machine may not.
      const mask = Deno.umask(0o117);
      try {
        return Deno.serve({ ...options, path: listen.path }, handler);
      } finally {
        Deno.umask(mask);
      }
    } catch (error) {
      throw listenError(error, listen);
    }
  }

  async #handle(request: Request, info: Deno.ServeHandlerInfo<Deno.Addr>): Promise<Response> {
    // On "::" an IPv4 address comes as one of IPv6.
    const remote = "hostname" in info.remoteAddr ? info.remoteAddr.hostname.replace(/^::ffff:/, "") : "";
    const response = await this.#answer(request, remote);
    const { headers } = response;
    headers.set("content-security-policy", CONTENT_SECURITY_POLICY);
    headers.set("x-content-type-options", "nosniff");
    headers.set("referrer-policy", "no-referrer");
    headers.set("cross-origin-resource-policy", "same-origin");
    headers.set("cross-origin-opener-policy", "same-origin");
    if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
    return response;
  }

  async #answer(request: Request, remote: string): Promise<Response> {
    const nowMs = performance.now();
    const refusal = this.#access.checkRequest(request, remote, nowMs);
    if (refusal !== undefined) return refused(refusal);
    const url = new URL(request.url);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const asset = method === "GET" ? ASSETS.get(url.pathname) : undefined;
    if (asset !== undefined) return assetResponse(request, asset);
    const route = this.#routes.get(`${method} ${url.pathname}`);
    if (route === undefined) {
      const isKnown = [...this.#routes.values()].some(({ path }) => path === url.pathname);
      return isKnown ? failure(405, "This path takes another method") : failure(404, "There is no such page");
    }
    const denied = (route.isOpen === true ? undefined : this.#access.checkVisitor(request, remote, nowMs)) ??
      (route.changes === true ? this.#access.checkChange() : undefined) ??
      (route.method === "POST" ? this.#access.checkOrigin(request) : undefined);
    if (denied !== undefined) return refused(denied);
    const query = route.query?.safeParse(Object.fromEntries(url.searchParams));
    if (query?.success === false) return failure(400, wordsOf(query.error));
    const body = route.body?.safeParse(await bodyOf(request));
    if (body?.success === false) return failure(400, wordsOf(body.error));
    return await route.handle({ request, remote, query: query?.data, body: body?.data });
  }

  #login(token: string, { request, remote }: Input): Response {
    const denied = token === "" ? undefined : this.#access.checkToken(token, remote, performance.now());
    if (denied !== undefined) return refused(denied);
    const isSecure = request.headers.get("x-forwarded-proto") === "https";
    return json({}, 200, { "set-cookie": cookieOf(token === "" ? undefined : token, isSecure) });
  }

  #onError(error: unknown): Response {
    const { message, hint } = error as { message?: string; hint?: string };
    this.#site.log.debug(`Request failed: ${message ?? error}`);
    return failure(500, message ?? "Something went wrong", { hint });
  }
}

function refused({ status, message, retryAfterS }: Refusal): Response {
  return failure(status, message, {
    headers: retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) },
  });
}

function assetResponse(request: Request, { type, body, etag }: Asset): Response {
  const headers = { "content-type": type, etag, "cache-control": "no-cache" };
  if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  return new Response(body, { headers });
}

/** The JSON of a request; `undefined` for anything else, which no schema takes. */
async function bodyOf(request: Request): Promise<unknown> {
  const reader = request.body?.getReader();
  if (reader === undefined) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  for (let size = 0;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > BODY_MAX) {
      await reader.cancel();
      return undefined;
    }
    text += decoder.decode(value, { stream: true });
  }
  try {
    return JSON.parse(text + decoder.decode());
  } catch {
    return undefined;
  }
}

function wordsOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => `${path.length === 0 ? "request" : path.join(".")}: ${message}`)
    .join("; ");
}

function spoolBytes(site: Site): number {
  try {
    return site.spoolBytes();
  } catch {
    // A store that cannot be read for a moment leaves a gap in a plot, no more.
    return 0;
  }
}

/** Makes way for our socket where a process that died has left its own. */
function removeStale(path: string): void {
  const stale = lstatSync(path, { throwIfNoEntry: false });
  if (stale === undefined) return;
  if (!stale.isSocket()) throw new HttpError("usage", `Cannot listen on "${path}": it is there and is no socket`);
  rmSync(path, { force: true });
}

function listenError(error: unknown, listen: ListenAddress): unknown {
  if (error instanceof HttpError) return error;
  const where = `Cannot serve the page on ${showAddress(listen)}`;
  if (error instanceof Deno.errors.AddrInUse) {
    return new HttpError("in_use", `${where}: another program has it`, "Choose another port with --http", error);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new HttpError("denied", `${where}: permission denied`, "Ports below 1024 need root: choose another", error);
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new HttpError("unavailable", `${where}: this machine has no such address`, undefined, error);
  }
  const words = error instanceof Error ? error.message : String(error);
  return new HttpError("unavailable", `${where}: ${words}`, undefined, error);
}
