/**
 * Who may see and do what. From this machine everyone; from elsewhere who has the token, or whom a proxy has let in. A
 * page of somebody else must not act through a visitor's browser: names that are not ours are refused (DNS rebinding),
 * and changes must come from our own page.
 */
import { hostname } from "node:os";
import { type HttpSettings, isLocal, isLoopback } from "./settings.ts";
import { hasToken, isToken } from "./token.ts";

/** Cookie that carries the token in browsers. */
export const COOKIE = "filesync_token";
/** Longest time that the token stays in a browser, seconds. */
const COOKIE_S = 400 * 86_400;

/** A request that is not served, and why. */
export interface Refusal {
  status: 401 | 403 | 421 | 429;
  message: string;
  retryAfterS?: number;
}

/** Guesses of one address before it has to wait, and the first wait, milliseconds; it doubles. */
const GUESSES_FREE = 5;
const WAIT_MS = 1000;
const WAIT_MS_MAX = 60_000;
/** Guesses are forgotten after this, milliseconds. */
const FORGET_MS = 600_000;
/** Requests of one address in a burst, and how many come back each second. */
const BURST = 200;
const PER_SECOND = 50;
/** Addresses that are remembered; the oldest goes first. */
const ADDRESSES_MAX = 1000;

interface Visitor {
  guesses: number;
  guessedMs: number;
  requests: number;
  seenMs: number;
}

export class Access {
  readonly #settings: HttpSettings;
  readonly #isLocal: boolean;
  readonly #names: Set<string>;
  readonly #visitors = new Map<string, Visitor>();

  constructor(settings: HttpSettings) {
    this.#settings = settings;
    this.#isLocal = isLocal(settings.listen);
    const own = hostname().toLowerCase();
    this.#names = new Set([own, `${own}.local`, ...settings.hosts.map((name) => name.toLowerCase())]);
  }

  /** Whether somebody has to show the token, or to come through the proxy. */
  get isGuarded(): boolean {
    return !this.#isLocal || this.#settings.proxy !== undefined;
  }

  /** What everyone must keep to. `remote` is the other end's address; empty for a Unix socket. */
  checkRequest(request: Request, remote: string, nowMs: number): Refusal | undefined {
    if (!this.#isOurName(request)) {
      return { status: 421, message: "This name is not known here: add it to http.hosts of the configuration" };
    }
    const visitor = this.#visitor(remote, nowMs);
    visitor.requests = Math.min(BURST, visitor.requests + (nowMs - visitor.seenMs) / 1000 * PER_SECOND);
    visitor.seenMs = nowMs;
    if (visitor.requests < 1) return { status: 429, message: "Too many requests", retryAfterS: 1 };
    visitor.requests--;
    return undefined;
  }

  /** Whether this visitor may see what is served. */
  checkVisitor(request: Request, remote: string, nowMs: number): Refusal | undefined {
    if (!this.isGuarded || this.#isFromProxy(request, remote)) return undefined;
    const token = tokenOf(request);
    if (token === undefined) {
      const message = hasToken(this.#settings.tokenFile)
        ? "A token is needed"
        : 'A token is needed, and there is none yet: "filesync token" on the machine makes one';
      return { status: 401, message };
    }
    return this.checkToken(token, remote, nowMs);
  }

  /** Whether `token` is right. The right one is always taken; who shows wrong ones waits longer and longer for an answer. */
  checkToken(token: string, remote: string, nowMs: number): Refusal | undefined {
    const visitor = this.#visitor(remote, nowMs);
    if (isToken(this.#settings.tokenFile, token)) {
      visitor.guesses = 0;
      return undefined;
    }
    if (nowMs - visitor.guessedMs > FORGET_MS) visitor.guesses = 0;
    const waitMs = visitor.guesses < GUESSES_FREE
      ? 0
      : Math.min(WAIT_MS_MAX, WAIT_MS * 2 ** (visitor.guesses - GUESSES_FREE)) - (nowMs - visitor.guessedMs);
    if (waitMs > 0) {
      return { status: 429, message: "Too many wrong tokens", retryAfterS: Math.ceil(waitMs / 1000) };
    }
    visitor.guesses++;
    visitor.guessedMs = nowMs;
    return { status: 401, message: "The token is not right" };
  }

  /** Whether anything may be changed. */
  checkChange(): Refusal | undefined {
    if (!this.#settings.readOnly) return undefined;
    return { status: 403, message: "This page is read-only (http.read_only of the configuration)" };
  }

  /** A form of another site cannot send JSON, and its scripts say where they come from. */
  checkOrigin(request: Request): Refusal | undefined {
    const origin = request.headers.get("origin");
    const site = request.headers.get("sec-fetch-site");
    const isOurs = (origin === null || hostOf(origin) === request.headers.get("host")?.toLowerCase()) &&
      (site === null || site === "same-origin" || site === "none");
    if (isOurs && /^application\/json\b/.test(request.headers.get("content-type") ?? "")) return undefined;
    return { status: 403, message: "Changes are taken as JSON, and only from this page itself" };
  }

  #isOurName(request: Request): boolean {
    const host = request.headers.get("host")?.toLowerCase() ?? "";
    const name = host.replace(/:\d+$/, "");
    if ("path" in this.#settings.listen) return true;
    if (isLoopback(name) || this.#settings.hosts.some((known) => known.toLowerCase() === name)) return true;
    if (this.#isLocal) return false;
    // An address cannot be rebound, and other names are those that the machine has itself.
    return this.#names.has(name) || /^(\d{1,3}\.){3}\d{1,3}$/.test(name) || /^\[[0-9a-f:.]+\]$/.test(name);
  }

  #isFromProxy(request: Request, remote: string): boolean {
    const { proxy } = this.#settings;
    return proxy !== undefined && (proxy.from.includes(remote) || remote === "") &&
      (request.headers.get(proxy.header) ?? "") !== "";
  }

  #visitor(remote: string, nowMs: number): Visitor {
    const known = this.#visitors.get(remote);
    if (known !== undefined) return known;
    const visitor = { guesses: 0, guessedMs: nowMs, requests: BURST, seenMs: nowMs };
    if (this.#visitors.size >= ADDRESSES_MAX) this.#visitors.delete(this.#visitors.keys().next().value!);
    this.#visitors.set(remote, visitor);
    return visitor;
  }
}

/** What a browser is to send from now on; without a token it forgets it. */
export function cookieOf(token: string | undefined, isSecure: boolean): string {
  const life = token === undefined ? 0 : COOKIE_S;
  const secure = isSecure ? "; Secure" : "";
  return `${COOKIE}=${token ?? ""}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${life}${secure}`;
}

function tokenOf(request: Request): string | undefined {
  const bearer = /^Bearer ([\w-]+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  const cookies = (request.headers.get("cookie") ?? "").split(/; */);
  const cookie = cookies.find((part) => part.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
  return cookie === undefined || cookie === "" ? undefined : cookie;
}

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host.toLowerCase();
  } catch {
    return undefined;
  }
}
