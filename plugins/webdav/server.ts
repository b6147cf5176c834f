/**
 * Requests to one WebDAV server: they carry our login to that server only, follow a redirect with their method, and are
 * repeated once when a kept connection turns out dead.
 */
import { HttpClient } from "../http/client.ts";
import type { Exchange } from "../http/exchange.ts";
import { ConnectionLost } from "../http/lost.ts";
import type { Reply } from "../http/reply.ts";
import type { WebdavConfig } from "./config.ts";
import { StatusError, Stranger } from "./errors.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };
import { BadMultistatus, MultistatusReader, type Resource } from "./multistatus.ts";
import { namesBelow, namesIn, urlOf } from "./paths.ts";

/** How long the answer to a small request may take, milliseconds. */
const REPLY_TIMEOUT_MS = 60_000;
const REDIRECTS_MAX = 5;
/** What is asked of each resource. */
const PROPFIND = `<?xml version="1.0" encoding="utf-8"?>
<propfind xmlns="DAV:" xmlns:oc="http://owncloud.org/ns"><prop><resourcetype/><getcontentlength/><getlastmodified/>\
<getetag/><oc:checksums/></prop></propfind>`;
const PROPFIND_QUOTA = `<?xml version="1.0" encoding="utf-8"?>
<propfind xmlns="DAV:"><prop><resourcetype/><quota-available-bytes/></prop></propfind>`;

/** A request that is to be made. */
export interface DavRequest {
  method: string;
  url: URL;
  headers?: Record<string, string | number>;
  /** Sent at once. */
  body?: Uint8Array;
  /** Writes a large body; may be called again after a redirect. */
  write?: (exchange: Exchange) => Promise<void>;
  /** @default {60000} */
  timeoutMs?: number;
}

/** A resource below the asked folder; `names` is empty for the folder itself. */
export type Found = Resource & { names: string[] };

/** One server with one login. */
export class DavServer {
  readonly config: WebdavConfig;
  readonly #client: HttpClient;

  /** @param onConnect told of the first round trip of each connection, milliseconds */
  constructor(config: WebdavConfig, onConnect: (roundTripMs: number) => void = () => {}) {
    this.config = config;
    this.#client = new HttpClient({
      // A call may ask for two things at once.
      keep: 2 * config.connections,
      onConnect,
      headers: {
        "User-Agent": `FileSync/${manifest.version}`,
        ...(config.authorization === undefined ? {} : { Authorization: config.authorization }),
      },
      ...(config.ca === undefined ? {} : { ca: config.ca }),
      ...(config.pin === undefined ? {} : { pin: config.pin }),
    });
  }

  close(): void {
    this.#client.close();
  }

  /** The address of a path of the contract. */
  url(path: string, isFolder = false): URL {
    return urlOf(this.config.root, path, isFolder);
  }

  /**
   * Makes a request and returns the answer, whatever its status.
   * @param onSent called when all of it was handed on, and again after a redirect
   * @throws {ConnectionLost} when there is none
   */
  async request(request: DavRequest, signal: AbortSignal, onSent?: (exchange: Exchange) => void): Promise<Reply> {
    let url = request.url;
    for (let redirects = 0, isRepeated = false;;) {
      let reply: Reply;
      try {
        reply = await this.#once({ ...request, url }, signal, onSent);
      } catch (error) {
        // What harms nothing when it is done twice is repeated: a dead kept connection did nothing, mostly.
        const isStale = error instanceof ConnectionLost && error.isReused && !isOnce(request);
        if (!isStale || isRepeated || signal.aborted) throw error;
        isRepeated = true;
        continue;
      }
      if (![301, 302, 307, 308].includes(reply.status)) return reply;
      const next = redirectOf(url, reply.header("location"));
      if (next === undefined) return reply;
      if (++redirects > REDIRECTS_MAX) throw new Stranger("server sends us round in a circle");
      await reply.discard();
      url = next;
    }
  }

  /** {@linkcode request} whose answer must be one of `wanted`; its body is read. */
  async expect(request: DavRequest, wanted: readonly number[], signal: AbortSignal): Promise<Reply> {
    const reply = await this.request(request, signal);
    if (wanted.includes(reply.status)) {
      await reply.discard();
      return reply;
    }
    throw await this.refusal(request.method, reply);
  }

  /** The error of an answer that was not wanted. */
  async refusal(method: string, reply: Reply): Promise<Error> {
    const text = await reply.text();
    if (reply.status >= 200 && reply.status < 400) {
      const to = reply.header("location");
      return new Stranger(
        `server answers ${method} with ${reply.status}${
          to === undefined ? "" : ` and sends us to "${to.slice(0, 200)}"`
        }`,
      );
    }
    return new StatusError(method, reply.status, text, reply.header("retry-after"));
  }

  /**
   * Lists `path` to a depth of 0 or 1, each resource as it comes.
   * @throws {StatusError} also 404 when there is nothing
   */
  async propfind(
    url: URL,
    depth: 0 | 1,
    onFound: (found: Found) => Promise<void> | void,
    signal: AbortSignal,
    query: "all" | "quota" = "all",
  ): Promise<void> {
    const reply = await this.request(propfindOf(url, depth, query), signal);
    await this.#readMultistatus(url, reply, depth, onFound);
  }

  async #readMultistatus(
    url: URL,
    reply: Reply,
    depth: 0 | 1,
    onFound: (found: Found) => Promise<void> | void,
  ): Promise<void> {
    if (reply.status !== 207) throw await this.refusal("PROPFIND", reply);
    const asked = namesIn(url.pathname);
    let base: string[] | undefined;
    const queue: Found[] = [];
    const reader = new MultistatusReader((resource) => {
      const names = namesIn(resource.href);
      base ??= baseOf(asked, names, resource.isFolder);
      const below = namesBelow(base, names);
      // What is elsewhere, or deeper than was asked, is nothing that was asked for.
      if (below !== undefined && below.length <= depth) queue.push({ ...resource, names: below });
    });
    try {
      const decoder = new TextDecoder();
      for (let chunk = await reply.read(); chunk !== null; chunk = await reply.read()) {
        reader.push(decoder.decode(chunk, { stream: true }));
        for (const found of queue.splice(0)) await onFound(found);
      }
      reader.push(decoder.decode());
      reader.end();
      for (const found of queue.splice(0)) await onFound(found);
    } catch (error) {
      reply.close();
      throw error;
    }
  }

  /** What is at `path`, or `undefined`. */
  async look(path: string, signal: AbortSignal, isFolder = false): Promise<Found | undefined> {
    const url = this.url(path, isFolder);
    return await this.#lookIn(url, () => this.request(propfindOf(url, 0), signal));
  }

  /**
   * {@linkcode request}, and behind it on the same connection the question what is at `path` then: that costs no round trip
   * of its own. A server may have looked before it was done (RFC 9112 section 9.3.2 forbids it, and some do it all the
   * same), so only what is there then counts: what is not is to be looked for again.
   */
  async requestThenLook(
    request: DavRequest,
    path: string,
    signal: AbortSignal,
  ): Promise<{ reply: Reply; look: () => Promise<Found | undefined> }> {
    const url = this.url(path);
    const { headers, body, method } = propfindOf(url, 0);
    let behind: Exchange | undefined;
    const reply = await this.request(request, signal, (exchange) => {
      behind = this.#client.begin(method, url, headers, signal, { behind: exchange });
      behind.finish(body);
    });
    const look = async () => {
      try {
        return await this.#lookIn(url, () => behind!.end(REPLY_TIMEOUT_MS));
      } catch {
        return undefined;
      }
    };
    return { reply, look };
  }

  async #lookIn(url: URL, ask: () => Promise<Reply>): Promise<Found | undefined> {
    let self: Found | undefined;
    try {
      await this.#readMultistatus(url, await ask(), 0, (found) => void (self ??= found));
    } catch (error) {
      if (error instanceof StatusError && (error.status === 404 || error.status === 410)) return undefined;
      throw error;
    }
    if (self === undefined) throw new BadMultistatus("Answer says nothing of what was asked for");
    if (self.status === 404 || self.status === 410) return undefined;
    if (self.status !== 200) throw new StatusError("PROPFIND", self.status, "");
    return self;
  }

  async #once(
    request: DavRequest & { url: URL },
    signal: AbortSignal,
    onSent?: (exchange: Exchange) => void,
  ): Promise<Reply> {
    const { method, url, headers = {}, body, write, timeoutMs = REPLY_TIMEOUT_MS } = request;
    const exchange = this.#client.begin(method, url, headers, signal, { isOnce: isOnce(request) });
    try {
      await write?.(exchange);
      exchange.finish(body);
      onSent?.(exchange);
      return await exchange.end(timeoutMs);
    } catch (error) {
      exchange.close();
      throw error;
    }
  }
}

/** Whether it must not be asked for a second time before it was looked at what the first one did. */
function isOnce({ method, write }: DavRequest): boolean {
  return write !== undefined || method === "MOVE";
}

/** Asks for all that is wanted of a resource and what is in it. */
function propfindOf(
  url: URL,
  depth: 0 | 1,
  query: "all" | "quota" = "all",
): Required<Pick<DavRequest, "method" | "url" | "headers" | "body">> {
  const body = new TextEncoder().encode(query === "all" ? PROPFIND : PROPFIND_QUOTA);
  const headers = { Depth: depth, "Content-Type": "application/xml; charset=utf-8", "Content-Length": body.length };
  return { method: "PROPFIND", url, headers, body };
}

/** A moved resource of the same server; never one in clear when this one was secret, never another server's. */
function redirectOf(from: URL, location: string | undefined): URL | undefined {
  if (location === undefined || !URL.canParse(location, from)) return undefined;
  const to = new URL(location, from);
  if (to.hostname !== from.hostname) return undefined;
  const isUpgrade = from.protocol === "http:" && to.protocol === "https:";
  return isUpgrade || (to.protocol === from.protocol && to.port === from.port) ? to : undefined;
}

/**
 * The names of the asked folder as the server spells them: a proxy that changes paths shows in the first resource, which is
 * the folder itself with all servers.
 */
function baseOf(asked: string[], first: string[], isFolder: boolean): string[] {
  const isInside = namesBelow(asked, first) !== undefined;
  return isInside || !isFolder ? asked : first;
}
