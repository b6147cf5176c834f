/**
 * Reads a `207 Multi-Status` answer (RFC 4918 section 13) as it comes, one resource after another: a listing of any length
 * needs the memory of one. Names of elements count, whatever prefix they have; a document type, the way to entity bombs,
 * is refused.
 */
// @ts-types="./sax.d.ts"
import sax, { type QualifiedTag } from "sax";
import type { Checksum } from "../../lib/driver/mod.ts";

/** What an answer says of one resource. */
export interface Resource {
  href: string;
  /** Status of the resource itself, where the server could not look at it; 200 otherwise. */
  status: number;
  isFolder: boolean;
  sizeBytes?: number;
  modifiedMs?: number;
  etag?: string;
  checksum?: Checksum;
  /** Bytes that may still be written (RFC 4331). */
  freeBytes?: number;
}

/** The answer is no multi-status, or one that nobody sends in earnest. */
export class BadMultistatus extends Error {}

const DAV = "DAV:";
/** Longest text of one element, characters. */
const TEXT_MAX = 16 * 1024;
/** Deepest nesting. */
const DEPTH_MAX = 64;
/** Longest run of XML without a resource, characters. */
const IDLE_MAX = 1024 * 1024;
/** Checksums by strength. */
const ALGORITHMS = ["sha256", "sha1", "md5"];

/** Takes the text of an answer piece by piece. */
export class MultistatusReader {
  readonly #onResource: (resource: Resource) => void;
  readonly #sax = sax.parser(true, { xmlns: true });
  readonly #path: string[] = [];
  #text = "";
  #sinceResource = 0;
  #resource: Resource | undefined;
  /** Properties of the propstat that is read, kept only when its status is 200. */
  #found: Partial<Resource> = {};
  #propstatStatus = 200;
  #isMultistatus = false;

  constructor(onResource: (resource: Resource) => void) {
    this.#onResource = onResource;
    this.#sax.onopentag = (tag) => this.#open(tag);
    this.#sax.onclosetag = () => this.#close();
    this.#sax.ontext = this.#sax.oncdata = (text) => {
      this.#text += text;
      if (this.#text.length > TEXT_MAX) throw new BadMultistatus("Answer holds an endless text");
    };
    this.#sax.ondoctype = () => {
      throw new BadMultistatus("Answer declares a document type");
    };
    this.#sax.onerror = (error) => {
      throw new BadMultistatus(`Answer is no XML: ${error.message.replaceAll(/\s+/g, " ")}`);
    };
  }

  /** @throws {BadMultistatus} */
  push(text: string): void {
    this.#sinceResource += text.length;
    this.#sax.write(text);
    if (this.#sinceResource > IDLE_MAX) throw new BadMultistatus("Answer holds endless XML");
  }

  /**
   * The answer is at its end.
   * @throws {BadMultistatus} when it broke off
   */
  end(): void {
    this.#sax.close();
    if (!this.#isMultistatus) throw new BadMultistatus("Answer is no multi-status");
    if (this.#path.length > 0) throw new BadMultistatus("Answer broke off");
  }

  #open(tag: QualifiedTag): void {
    const name = tag.uri === DAV ? tag.local : `+${tag.local}`;
    if (this.#path.length === 0) {
      if (name !== "multistatus") throw new BadMultistatus(`Answer is a "${tag.local}": expected a multi-status`);
      this.#isMultistatus = true;
    }
    this.#path.push(name);
    if (this.#path.length > DEPTH_MAX) throw new BadMultistatus("Answer is nested too deeply");
    this.#text = "";
    if (this.#path.length === 2 && name === "response") this.#resource = { href: "", status: 200, isFolder: false };
    if (name === "propstat") {
      this.#found = {};
      this.#propstatStatus = 200;
    }
    if (name === "collection" && this.#path.at(-2) === "resourcetype") this.#found.isFolder = true;
  }

  #close(): void {
    const name = this.#path.pop();
    const parent = this.#path.at(-1);
    const text = this.#text.trim();
    this.#text = "";
    const resource = this.#resource;
    if (resource === undefined) return;
    if (parent === "response") this.#closeOfResponse(name, text, resource);
    else if (parent === "propstat" && name === "status") this.#propstatStatus = statusIn(text);
    else if (parent === "prop") this.#property(name, text);
    else if (parent === "+checksums" && name === "+checksum") this.#checksums(text);
    if (this.#path.length === 1 && name === "response") {
      this.#resource = undefined;
      this.#sinceResource = 0;
      if (resource.href !== "") this.#onResource(resource);
    }
  }

  #closeOfResponse(name: string | undefined, text: string, resource: Resource): void {
    if (name === "href" && resource.href === "") resource.href = text;
    else if (name === "status") resource.status = statusIn(text);
    else if (name === "propstat" && this.#propstatStatus >= 200 && this.#propstatStatus < 300) {
      Object.assign(resource, this.#found);
    }
  }

  #property(name: string | undefined, text: string): void {
    if (text === "") return;
    if (name === "getcontentlength" && /^\d{1,15}$/.test(text)) this.#found.sizeBytes = Number(text);
    if (name === "quota-available-bytes" && /^\d{1,15}$/.test(text)) this.#found.freeBytes = Number(text);
    if (name === "getetag") this.#found.etag = text;
    if (name === "getlastmodified") {
      const modifiedMs = Date.parse(text);
      if (Number.isFinite(modifiedMs)) this.#found.modifiedMs = modifiedMs;
    }
  }

  /** `SHA1:0123… MD5:…`, as ownCloud and Nextcloud tell what a client gave them. */
  #checksums(text: string): void {
    for (const word of text.split(/\s+/)) {
      const [, name = "", value = ""] = /^([A-Za-z0-9-]+):([0-9A-Fa-f]{8,128})$/.exec(word) ?? [];
      const algorithm = name.toLowerCase().replace("-", "");
      const rank = ALGORITHMS.indexOf(algorithm);
      const known = this.#found.checksum;
      if (rank < 0 || (known !== undefined && ALGORITHMS.indexOf(known.algorithm) <= rank)) continue;
      this.#found.checksum = { algorithm, value: value.toLowerCase() };
    }
  }
}

/** The code in `HTTP/1.1 200 OK`. */
function statusIn(text: string): number {
  return Number(/^HTTP\/\S+\s+(\d{3})/.exec(text)?.[1] ?? 500);
}
