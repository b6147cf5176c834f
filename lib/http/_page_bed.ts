/** A page on a free port of loopback, in front of a program that does nothing: for the tests of what the server itself does. */
import { join } from "node:path";
import { EventBus, EventTeller, type StatusReport } from "../observe/mod.ts";
import { type HttpServer, startHttpServer } from "./server.ts";
import type { HttpSettings } from "./settings.ts";
import type { RetryRequest, Site } from "./site.ts";

const TALLY = { count: 0, bytes: 0 };

export const STATUS: StatusReport = {
  schema: 1,
  time: "2026-11-30T12:00:00.000Z",
  word: "ok",
  state: "/var/lib/filesync/filesync.db",
  jobs: [{
    name: "logs",
    found: TALLY,
    downloading: TALLY,
    spooled: TALLY,
    done: { count: 3, bytes: 900 },
    parked: TALLY,
    gone: TALLY,
    targets: [{
      name: "nas",
      waiting: TALLY,
      uploading: TALLY,
      delivered: { count: 3, bytes: 900 },
      parked: TALLY,
      uncertain: TALLY,
    }],
  }],
  devices: [{ name: "drone1", role: "source", available: true, held: false, since: "2026-11-30T11:00:00.000Z" }],
  parked: [],
  parkedTotal: 0,
  noted: [],
  notedTotal: 0,
  spool: { dir: "/var/spool", usedBytes: 5, quotaBytes: 10 },
  resentBytes: 7,
  resentUploadBytes: 3,
};

export class PageBed implements AsyncDisposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "filesync-page-" });
  readonly tokenFile = join(this.dir, "token");
  readonly events = new EventBus();
  readonly retried: RetryRequest[] = [];
  readonly site: Site;
  readonly #server: HttpServer;

  constructor(settings: Partial<HttpSettings> = {}, site: Partial<Site> = {}) {
    this.site = {
      version: "1.2.3",
      events: this.events,
      teller: new EventTeller([{ job: "logs", device: "drone1" }, { job: "logs", target: "nas", device: "hangar" }]),
      targetsOf: new Map([["logs", 1]]),
      status: () => STATUS,
      spoolBytes: () => STATUS.spool.usedBytes,
      queueAges: () => [{ job: "logs" }, { job: "logs", target: "nas", oldestMs: 1000, lastDeliveredMs: 2000 }],
      files: () => ({ files: [] }),
      why: () => Promise.resolve([]),
      retry: (request) => {
        this.retried.push(request);
        return Promise.resolve({ files: 1, deliveries: 0 });
      },
      copyOf: () => undefined,
      logTail: () => [],
      log: { debug() {}, info() {}, warning() {}, error() {} },
      ...site,
    };
    const listen = settings.listen ?? { hostname: "127.0.0.1", port: 0 };
    this.#server = startHttpServer(this.site, {
      readOnly: false,
      hosts: [],
      tokenFile: this.tokenFile,
      ...settings,
      listen,
    });
  }

  get port(): number {
    const { address } = this.#server;
    if ("path" in address) throw new Error("There is no port");
    return address.port;
  }

  /** Asks as curl does: any header may be given, Host too. */
  async ask(path: string, { method = "GET", headers = {}, body }: Asked = {}): Promise<Answered> {
    return await request({ hostname: "127.0.0.1", port: this.port }, path, { method, headers, body });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

export interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string | undefined;
}

export interface Answered {
  status: number;
  headers: Headers;
  text: string;
}

/** One request on a connection of its own, to a port or a Unix socket. */
export async function request(
  to: { hostname: string; port: number } | { path: string },
  path: string,
  { method = "GET", headers = {}, body }: Asked = {},
): Promise<Answered> {
  using connection = "path" in to ? await Deno.connect({ transport: "unix", path: to.path }) : await Deno.connect(to);
  const bytes = new TextEncoder().encode(body ?? "");
  const all = {
    host: "port" in to ? `127.0.0.1:${to.port}` : "localhost",
    connection: "close",
    ...(body === undefined ? {} : { "content-length": String(bytes.length) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const writer = connection.writable.getWriter();
  await writer.write(new TextEncoder().encode(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`));
  if (bytes.length > 0) await writer.write(bytes);
  let text = "";
  const decoder = new TextDecoder();
  for await (const part of connection.readable) text += decoder.decode(part, { stream: true });
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const [status = "", ...fields] = head.split("\r\n");
  return {
    status: Number(status.split(" ")[1]),
    headers: new Headers(fields.map((line): [string, string] => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 1).trim()];
    })),
    text: rest.join("\r\n\r\n"),
  };
}

/** A reader of the event stream. */
export class EventReader implements AsyncDisposable {
  readonly #response: Response;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  private constructor(response: Response) {
    this.#response = response;
    this.#reader = response.body!.pipeThrough(new TextDecoderStream() as TransformStream<BufferSource, string>)
      .getReader() as ReadableStreamDefaultReader<string>;
  }

  static async open(port: number, lastId?: string): Promise<EventReader> {
    const headers: HeadersInit = lastId === undefined ? {} : { "last-event-id": lastId };
    return new EventReader(await fetch(`http://127.0.0.1:${port}/api/events`, { headers }));
  }

  /** The next message: its type, its id, its data. Messages of the types in `skip` are passed over. */
  async next(skip: readonly string[] = ["moving"]): Promise<{ type: string; id: string; data: string }> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end < 0) {
        const { done, value } = await this.#reader.read();
        if (done) throw new Error("The stream has ended");
        this.#text += value;
        continue;
      }
      const lines = this.#text.slice(0, end).split("\n");
      this.#text = this.#text.slice(end + 2);
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const message = { type: field("event") ?? "message", id: field("id") ?? "", data: field("data") ?? "" };
      if (message.data !== "" && !skip.includes(message.type)) return message;
    }
  }

  get status(): number {
    return this.#response.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}
