/**
 * A PX4 Flight Review as strict as the real one, for tests: what `UploadHandler`, its `MultiPartStreamer` and
 * `BrowseDataRetrievalHandler` of PX4/flight_review (June 2026, 26c8707) take, refuse and answer, compared with that
 * server on loopback; without the plots. It can be told to misbehave at the next upload.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";

/** A log that the server has. */
export interface StoredLog {
  id: string;
  fileName: string;
  bytes: Uint8Array;
  fields: Record<string, string>;
  isPublic: boolean;
}

/** What happens to one upload instead of the usual. */
export type Misbehaviour =
  /** Takes it, and ends the connection instead of answering. */
  | "lose answer"
  /** Takes it and says nothing. */
  | "hang"
  /** Ends the connection as soon as the request has begun. */
  | "hang up"
  /**
   * Answers so without taking it: after the whole request, as soon as it has begun, or in its middle; `taken`: takes it,
   * and answers so all the same.
   */
  | { status: number; body?: string; headers?: Record<string, string>; early?: boolean | "middle"; taken?: boolean }
  /** The connection breaks when so many bytes of the request's body have come; nothing is taken. */
  | { cutAtByte: number; how: "close" | "reset" };

export interface FlightReviewOptions {
  /** Largest request, bytes. @default {300 MiB} */
  maxBytes?: number;
  /** Old servers know no `redirect` field and always redirect. */
  isOld?: boolean;
  /** What an `Authorization` header must be. */
  authorization?: string;
  /** Key and certificate, PEM: then the server speaks TLS. */
  tls?: { key: string; cert: string };
  /** Another kind of form: takes files that are no logs. */
  takesAnything?: boolean;
  /** Told of each log that is taken, before the answer. */
  onTaken?: (log: StoredLog) => void;
}

const MAGIC = [0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35];

/** One server on loopback. */
export class FlightReview {
  readonly logs: StoredLog[] = [];
  /** Requests for uploads that came, whatever became of them. */
  uploads = 0;
  searches = 0;
  /** Headers of the last upload. */
  lastHeaders: IncomingMessage["headers"] = {};
  /** What to do with the next uploads, in their order. */
  readonly next: Misbehaviour[] = [];
  /** Asked at each upload for which `next` has nothing. */
  onUpload: ((lengthBytes: number) => Misbehaviour | undefined) | undefined;
  /** What every request gets instead of the server, as a network does that wants a login first. */
  portal: { status: number; body: string; headers?: Record<string, string> } | undefined;
  /** Requests that the portal answered, and searches among them. */
  portalAnswers = 0;
  portalSearches = 0;
  /** Searches to come that do not find what is there. */
  unlistedSearches = 0;
  /** It lists all its logs whatever is searched for. */
  listsEverything = false;
  /** Searches that are answered with this status and nothing found. */
  readonly searchStatuses: number[] = [];
  readonly #server: ReturnType<typeof createServer>;
  readonly #options: FlightReviewOptions;

  private constructor(options: FlightReviewOptions) {
    this.#options = options;
    const serve = (request: IncomingMessage, response: ServerResponse) => this.#serve(request, response);
    this.#server = options.tls === undefined ? createServer(serve) : createTlsServer(options.tls, serve);
  }

  static async start(options: FlightReviewOptions = {}, port = 0): Promise<FlightReview> {
    const server = new FlightReview(options);
    await new Promise<void>((resolve) => server.#server.listen(port, "127.0.0.1", resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http${this.#options.tls === undefined ? "" : "s"}://127.0.0.1:${this.port}/upload`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    request.on("error", () => {});
    response.on("error", () => {});
    const url = new URL(request.url ?? "/", "http://localhost");
    if (this.portal !== undefined) {
      const { status, body, headers } = this.portal;
      this.portalAnswers++;
      if (url.pathname === "/browse_data_retrieval") this.portalSearches++;
      // It reads what is sent to it, as far as it comes.
      request.resume();
      response.writeHead(status, { "Content-Type": "text/html", ...headers, Connection: "close" }).end(body);
      return;
    }
    if (request.method === "POST" && (url.pathname === "/upload" || url.pathname === "/")) {
      this.#upload(request, response, url);
    } else if (request.method === "GET" && url.pathname === "/browse_data_retrieval") {
      this.searches++;
      const status = this.searchStatuses.shift();
      if (status !== undefined) return void response.writeHead(status).end("<html><title>Bad Gateway</title></html>");
      this.#search(url.searchParams.get("search[value]") ?? "", response);
    } else if (request.method === "GET" && (url.pathname === "/upload" || url.pathname === "/")) {
      response.end('<html><form method="post"><input type="file" name="filearg"></form></html>');
    } else {
      response.writeHead(404).end("<html><title>404: Not Found</title></html>");
    }
  }

  #upload(request: IncomingMessage, response: ServerResponse, url: URL): void {
    this.uploads++;
    this.lastHeaders = request.headers;
    const length = Number(request.headers["content-length"] ?? "0");
    const act = this.next.shift() ?? this.onUpload?.(length);
    const limit = Number(url.searchParams.get("expected_size") ?? this.#options.maxBytes ?? 300 * 1024 * 1024);
    if (act === "hang up") return void request.socket.destroy();
    // Tornado says this and no more, reads no further, and closes what it does not want to read.
    if (length > limit) return void request.socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    const answerWith = ({ status, headers, body }: Exclude<Misbehaviour, string | { how: string }>, more = {}) =>
      void response.writeHead(status, { ...headers, ...more }).end(body ?? "");
    const isAnswer = typeof act === "object" && "status" in act;
    if (isAnswer && act.early === true) return answerWith(act, { Connection: "close" });
    const breakAt = typeof act === "object" && "cutAtByte" in act
      ? act.cutAtByte
      : isAnswer && act.early === "middle"
      ? length / 2
      : Infinity;
    const chunks: Uint8Array[] = [];
    let came = 0;
    let isBroken = false;
    request.on("data", (chunk: Uint8Array) => {
      came += chunk.length;
      if (came < breakAt) return void chunks.push(chunk);
      if (isBroken) return;
      isBroken = true;
      if (isAnswer) answerWith(act, { Connection: "close" });
      else if (typeof act === "object" && act.how === "reset") (request.socket as Socket).resetAndDestroy();
      else request.socket.destroy();
    });
    request.on("end", () => {
      if (isBroken) return;
      if (isAnswer && act.taken !== true) return answerWith(act);
      const answer = this.#take(concat(chunks), request.headers);
      if (isAnswer) return answerWith(act);
      if (act === "lose answer") return void request.socket.destroy();
      if (act === "hang") return;
      response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  }

  #take(
    body: Uint8Array,
    headers: IncomingMessage["headers"],
  ): { status: number; body: string; headers: Record<string, string> } {
    const refuse = (status: number, words: string) => ({
      status,
      body: `\n<html><title>Error ${status}</title>\n<body>HTTP Error ${status}${words}</body>\n</html>\n`,
      headers: { "Content-Type": "text/html; charset=UTF-8" },
    });
    const { authorization } = this.#options;
    if (authorization !== undefined && headers.authorization !== authorization) return refuse(401, "");
    const parts = parseForm(body);
    const fields: Record<string, string> = {};
    for (const { name, fileName, bytes } of parts) {
      if (fileName !== undefined) continue;
      if (bytes.length > 10 * 1024) return refuse(500, "");
      fields[name] ??= new TextDecoder().decode(bytes);
    }
    const file = parts.find(({ name }) => name === "filearg");
    if (file === undefined || fields["description"] === undefined || fields["email"] === undefined) {
      return refuse(500, "");
    }
    const isLog = MAGIC.every((byte, at) => file.bytes[at] === byte);
    if (!isLog && this.#options.takesAnything !== true) return refuse(400, ": Invalid File");
    const log: StoredLog = {
      id: crypto.randomUUID(),
      fileName: file.fileName ?? "",
      bytes: file.bytes,
      fields,
      isPublic: fields["type"] === "flightreport" && fields["public"] === "true",
    };
    this.logs.push(log);
    this.#options.onTaken?.(log);
    const url = `/plot_app?log=${log.id}`;
    const redirects = this.#options.isOld === true ||
      (fields["redirect"] === undefined ? fields["source"] !== "QGroundControl" : fields["redirect"] === "true");
    return redirects
      ? { status: 302, body: "", headers: { Location: url } }
      // The real one says text/html of its JSON.
      : { status: 200, body: JSON.stringify({ url }), headers: { "Content-Type": "text/html; charset=UTF-8" } };
  }

  #search(words: string, response: ServerResponse): void {
    // What the server still reads is not listed yet.
    const listed = this.unlistedSearches-- > 0 ? [] : this.logs;
    const found = listed.filter(({ isPublic, fields }) =>
      isPublic && fields["source"] !== "CI" &&
      (this.listsEverything || (fields["description"] ?? "").toLowerCase().includes(words.toLowerCase()))
    );
    // The rows of the real one have no description, by which they were found.
    const data = found.reverse().slice(0, 10).map(({ id }, index) => [
      index + 1,
      `<a href="plot_app?log=${id}">2026-06-24</a>`,
      "<div>No Image Preview</div>",
      "Quadrotor",
      10017,
      "PX4_SITL",
      "v1.15.0 (cb09dd)",
      "31s",
      "2024-03-18 14:49",
      "Takeoff, Loiter",
    ]);
    response.end(
      JSON.stringify({ draw: 1, data, recordsTotal: this.logs.length, recordsFiltered: found.length }),
    );
  }
}

interface FormPart {
  name: string;
  fileName: string | undefined;
  bytes: Uint8Array;
}

/** The parts of a form as `MultiPartStreamer` reads them: the first line is the delimiter, CRLF only, quoted names only. */
export function parseForm(body: Uint8Array): FormPart[] {
  const text = new TextDecoder("latin1").decode(body);
  const firstEnd = text.indexOf("\r\n");
  if (firstEnd < 0) return [];
  const delimiter = text.slice(0, firstEnd);
  const parts: FormPart[] = [];
  let at = firstEnd + 2;
  for (;;) {
    const headersEnd = text.indexOf("\r\n\r\n", at);
    if (headersEnd < 0) return parts;
    const params: Record<string, string> = {};
    for (const line of text.slice(at, headersEnd).split("\r\n")) {
      const header = /^([^:]+):\s+([^\s;]+)(.*)$/.exec(line);
      if (header?.[1]?.toLowerCase() !== "content-disposition") continue;
      let rest = header[3]!;
      for (;;) {
        const param = /^;\s*([^=]+)="(.*?)"(.*)/.exec(rest);
        if (param === null) break;
        params[param[1]!] = param[2]!;
        rest = param[3]!;
      }
    }
    const start = headersEnd + 4;
    let end = text.indexOf(`\r\n${delimiter}\r\n`, start);
    const isLast = end < 0;
    if (isLast) end = text.lastIndexOf(`\r\n${delimiter}`);
    if (end < start) return parts;
    if (params["name"] !== undefined) {
      parts.push({ name: params["name"], fileName: params["filename"], bytes: body.subarray(start, end) });
    }
    if (isLast) return parts;
    at = end + delimiter.length + 4;
  }
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
