/**
 * A stand-in for clouds that cannot be installed here, written from their documented habits, strict where they are:
 * `nextcloud` (sabre/dav: no names that end with `.part`, `X-OC-Mtime`, chunked upload version 2, a PUT that is published
 * when it is whole), `yandex` (hashes in headers, `Expect: 100-continue`, an entity tag that is the MD5), and `sabre` (a
 * PATCH that writes a part). It can be told to misbehave at the next request of a method.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type CloudKind = "nextcloud" | "yandex" | "sabre";

export interface CloudFile {
  bytes: Uint8Array;
  modifiedMs: number;
}

/** What happens to one request instead of the usual. */
export type CloudFault =
  /** Does it, and ends the connection instead of answering. */
  | "lose answer"
  /** Ends the connection after this many bytes of the body; what came is kept where the server keeps parts. */
  | { cutAfterBytes: number }
  /** Answers so without doing it. */
  | { status: number; body?: string; headers?: Record<string, string> }
  /** Does it and answers so. */
  | { statusAfter: number };

/** Smallest chunk but for the last, bytes. */
const CHUNK_BYTES_MIN = 5 * 1024 * 1024;

/** One server on loopback, its files in memory. */
export class CloudServer {
  /** By path below the files' root; folders are in {@linkcode folders}. */
  readonly files = new Map<string, CloudFile>();
  readonly folders = new Set<string>([""]);
  /** Chunks by upload folder and name. */
  readonly uploads = new Map<string, Map<string, Uint8Array>>();
  /** Requests as `METHOD path`, in their order. */
  readonly requests: string[] = [];
  /** Bytes of bodies that came. */
  receivedBytes = 0;
  /** What to do with the next requests of a method. */
  readonly faults = new Map<string, CloudFault[]>();
  readonly #kind: CloudKind;
  readonly #server = createServer();

  private constructor(kind: CloudKind) {
    this.#kind = kind;
    const serve = (request: IncomingMessage, response: ServerResponse, wantsBody = true) => {
      request.on("error", () => {});
      response.on("error", () => {});
      this.#serve(request, response, wantsBody);
    };
    this.#server.on("request", serve);
    this.#server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      const wants = this.#wantsBody(request);
      if (wants) response.writeContinue();
      serve(request, response, wants);
    });
  }

  static async start(kind: CloudKind): Promise<CloudServer> {
    const server = new CloudServer(kind);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** What a user writes into `host`. */
  get host(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}${this.#kind === "nextcloud" ? "/remote.php/dav/files/pi" : "/"}`;
  }

  fail(method: string, ...faults: CloudFault[]): void {
    this.faults.set(method, [...this.faults.get(method) ?? [], ...faults]);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Yandex knows by the hashes in the headers whether it has these bytes, under whatever name. */
  #wantsBody(request: IncomingMessage): boolean {
    const { sha256 } = request.headers;
    if (this.#kind !== "yandex" || typeof sha256 !== "string") return true;
    return ![...this.files.values(), ...this.#unnamed].some(({ bytes }) => digest("sha256", bytes) === sha256);
  }
  readonly #unnamed: CloudFile[] = [];

  #serve(request: IncomingMessage, response: ServerResponse, wantsBody: boolean): void {
    const method = request.method ?? "";
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname);
    this.requests.push(`${method} ${path}`);
    const fault = this.faults.get(method)?.shift();
    if (typeof fault === "object" && "status" in fault) {
      request.resume();
      request.on("end", () => void response.writeHead(fault.status, fault.headers).end(fault.body ?? ""));
      return;
    }
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const cutAt = typeof fault === "object" && "cutAfterBytes" in fault ? fault.cutAfterBytes : Infinity;
    request.on("data", (chunk: Uint8Array) => {
      const kept = chunk.subarray(0, Math.max(0, cutAt - bytes));
      bytes += chunk.length;
      if (method === "PUT" || method === "PATCH") this.receivedBytes += kept.length;
      chunks.push(kept);
      if (bytes >= cutAt) {
        // sabre's PATCH writes as it reads; a PUT that breaks off leaves nothing.
        if (method === "PATCH") this.#patch(path, request, concat(chunks));
        request.socket.destroy();
      }
    });
    const finish = () => {
      if (bytes >= cutAt) return;
      const status = this.#do(method, path, request, response, wantsBody ? concat(chunks) : undefined);
      if (fault === "lose answer") request.socket.destroy();
      else if (typeof fault === "object" && "statusAfter" in fault) response.writeHead(fault.statusAfter).end();
      else if (status !== undefined) response.writeHead(status).end();
    };
    // A body that is not wanted never comes.
    if (wantsBody) request.on("end", finish);
    else finish();
  }

  /** Carries a request out; the status, unless it has answered already. */
  #do(
    method: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
    body: Uint8Array | undefined,
  ): number | undefined {
    const name = this.#nameOf(path);
    if (method === "PROPFIND") return this.#propfind(path, request, response);
    if (method === "GET") return this.#get(name, request, response);
    if (method === "PUT") return this.#put(path, name, request, body);
    if (method === "PATCH") return this.#patch(path, request, body!);
    if (method === "MKCOL") return this.#mkcol(path, name);
    if (method === "MOVE") return this.#move(path, name, request);
    if (method === "DELETE") return name !== undefined && this.files.delete(name) ? 204 : 404;
    return 405;
  }

  /** The path below the files' root, `undefined` when it is elsewhere. */
  #nameOf(path: string): string | undefined {
    if (this.#kind !== "nextcloud") return path.replace(/^\/|\/$/g, "");
    return /^\/remote\.php\/dav\/files\/pi(?:\/(.*?))?\/?$/.exec(path)?.slice(1).map((name) => name ?? "")[0];
  }

  #upload(path: string): { id: string; name: string } | undefined {
    const match = /^\/remote\.php\/dav\/uploads\/pi\/([^/]+)\/?(.*)$/.exec(path);
    return match === null ? undefined : { id: match[1]!, name: match[2]! };
  }

  #isBadName(name: string): boolean {
    return this.#kind === "nextcloud" && /\.(part|filepart)$/i.test(name);
  }

  #put(path: string, name: string | undefined, request: IncomingMessage, body: Uint8Array | undefined): number {
    if (request.headers["content-length"] === undefined) return 411;
    const upload = this.#upload(path);
    if (upload !== undefined) {
      const chunks = this.uploads.get(upload.id);
      if (chunks === undefined) return 404;
      if (request.headers.destination === undefined || !/^\d{1,5}$/.test(upload.name)) return 400;
      chunks.set(upload.name, body!);
      return 201;
    }
    if (name === undefined || this.folders.has(name)) return 409;
    if (!this.folders.has(parentOf(name))) return 409;
    if (this.#isBadName(name)) return 400;
    if (request.headers["if-none-match"] === "*" && this.files.has(name)) return 412;
    const mtime = Number(request.headers["x-oc-mtime"]);
    const stored = body ??
      [...this.files.values(), ...this.#unnamed].find(({ bytes }) =>
        digest("sha256", bytes) === request.headers["sha256"]
      )!.bytes;
    this.files.set(name, {
      bytes: stored,
      modifiedMs: this.#kind === "nextcloud" && mtime > 0 ? mtime * 1000 : Date.now(),
    });
    this.#unnamed.push({ bytes: stored, modifiedMs: 0 });
    return 201;
  }

  #patch(path: string, request: IncomingMessage, body: Uint8Array): number {
    const file = this.files.get(this.#nameOf(path) ?? "");
    const from = Number(/^bytes=(\d+)-/.exec(String(request.headers["x-update-range"]))?.[1] ?? NaN);
    if (this.#kind !== "sabre" || Number.isNaN(from)) return 405;
    if (file === undefined) return 404;
    const bytes = new Uint8Array(Math.max(file.bytes.length, from + body.length));
    bytes.set(file.bytes);
    bytes.set(body, from);
    file.bytes = bytes;
    return 204;
  }

  #mkcol(path: string, name: string | undefined): number {
    const upload = this.#upload(path);
    if (upload !== undefined) {
      if (this.uploads.has(upload.id)) return 405;
      this.uploads.set(upload.id, new Map());
      return 201;
    }
    if (name === undefined || this.folders.has(name) || this.files.has(name)) return 405;
    if (!this.folders.has(parentOf(name))) return 409;
    this.folders.add(name);
    return 201;
  }

  #move(path: string, name: string | undefined, request: IncomingMessage): number {
    const destination = String(request.headers.destination ?? "");
    if (!URL.canParse(destination)) return 400;
    const to = this.#nameOf(decodeURIComponent(new URL(destination).pathname));
    if (to === undefined) return 502;
    const overwrites = request.headers.overwrite !== "F";
    if (!this.folders.has(parentOf(to))) return 409;
    if (this.#isBadName(to)) return 400;
    const upload = this.#upload(path);
    if (upload === undefined && !this.files.has(name ?? "")) return 404;
    if (this.files.has(to) && !overwrites) return 412;
    if (upload === undefined) {
      this.files.set(to, this.files.get(name!)!);
      this.files.delete(name!);
      return 201;
    }
    const chunks = this.uploads.get(upload.id);
    if (chunks === undefined || upload.name !== ".file") return 404;
    const parts = [...chunks].sort(([a], [b]) => a < b ? -1 : 1).map(([, bytes]) => bytes);
    if (parts.slice(0, -1).some(({ length }) => length < CHUNK_BYTES_MIN)) return 400;
    const bytes = concat(parts);
    if (bytes.length !== Number(request.headers["oc-total-length"])) return 400;
    const mtime = Number(request.headers["x-oc-mtime"]);
    this.files.set(to, { bytes, modifiedMs: mtime > 0 ? mtime * 1000 : Date.now() });
    this.uploads.delete(upload.id);
    return 201;
  }

  #get(name: string | undefined, request: IncomingMessage, response: ServerResponse): number | undefined {
    const file = this.files.get(name ?? "");
    if (file === undefined) return 404;
    const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const start = Number(from);
    if (start > 0 && start >= file.bytes.length) return 416;
    const end = to === "" ? file.bytes.length : Math.min(Number(to) + 1, file.bytes.length);
    const isRange = request.headers.range !== undefined;
    response.writeHead(isRange ? 206 : 200, {
      "Content-Length": end - start,
      ...(isRange ? { "Content-Range": `bytes ${start}-${end - 1}/${file.bytes.length}` } : {}),
    });
    response.end(file.bytes.subarray(start, end));
    return undefined;
  }

  #propfind(path: string, request: IncomingMessage, response: ServerResponse): number | undefined {
    const upload = this.#upload(path);
    const rows: string[] = [];
    const base = path.replace(/\/$/, "");
    if (upload !== undefined) {
      const chunks = this.uploads.get(upload.id);
      if (chunks === undefined) return 404;
      rows.push(folderRow(`${base}/`));
      if (request.headers.depth === "1") {
        for (const [name, bytes] of chunks) rows.push(this.#fileRow(`${base}/${name}`, { bytes, modifiedMs: 0 }));
      }
    } else {
      const name = this.#nameOf(path);
      const file = this.files.get(name ?? "\0");
      if (name === undefined || (file === undefined && !this.folders.has(name))) return 404;
      rows.push(file === undefined ? folderRow(`${base}/`) : this.#fileRow(base, file));
      if (file === undefined && request.headers.depth === "1") {
        const isChild = (other: string) => other !== name && parentOf(other) === name;
        for (const other of this.folders) if (isChild(other)) rows.push(folderRow(`${base}/${lastOf(other)}/`));
        for (const [other, bytes] of this.files) {
          if (isChild(other)) rows.push(this.#fileRow(`${base}/${lastOf(other)}`, bytes));
        }
      }
    }
    const xml = `<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">${
      rows.join("")
    }</d:multistatus>`;
    response.writeHead(207, { "Content-Type": "application/xml; charset=utf-8" }).end(xml);
    return undefined;
  }

  #fileRow(path: string, { bytes, modifiedMs }: CloudFile): string {
    const etag = this.#kind === "yandex" ? digest("md5", bytes) : `"${digest("sha1", bytes).slice(0, 13)}"`;
    return `<d:response><d:href>${
      encodeURI(path)
    }</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>${bytes.length}</d:getcontentlength>` +
      `<d:getlastmodified>${new Date(modifiedMs).toUTCString()}</d:getlastmodified><d:getetag>${etag}</d:getetag>` +
      "</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>";
  }
}

function folderRow(path: string): string {
  return `<d:response><d:href>${
    encodeURI(path)
  }</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop>` +
    "<d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:getcontentlength/></d:prop>" +
    "<d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>";
}

function digest(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest("hex");
}

function parentOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
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
