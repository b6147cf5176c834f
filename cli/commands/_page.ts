/** The status page beside `sync`: what it shows, and where. */
import type { Config } from "../../lib/config/types.ts";
import {
  administer,
  readFiles,
  readQueueAges,
  readSpoolBytes,
  readSpoolCopy,
  readStatus,
  readWhy,
  targetCounts,
  tellerOf,
  tellWhy,
} from "../../lib/engine/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import type { HttpServer, HttpSettings, ListenAddress, Site } from "../../lib/http/mod.ts";
import { type EventBus, logFor, logTail } from "../../lib/observe/mod.ts";
import { CliError } from "../context.ts";
import { VERSION } from "../version.ts";

/** How long until an address that cannot be served is tried again, milliseconds: the network may come up later. */
const AGAIN_MS = 30_000;

/** The file with the hash of the token, beside the state store. */
export function tokenFileOf(config: Config): string {
  return `${config.statePath}.token`;
}

/** The page of one run. */
export class Page {
  readonly #site: Site;
  readonly #settings: HttpSettings;
  readonly #log = logFor("http");
  #server: HttpServer | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #isEnded = false;

  constructor(config: Config, listen: ListenAddress, events: EventBus) {
    this.#site = siteOf(config, events);
    const { readOnly, hosts, proxy } = config.http;
    this.#settings = {
      listen,
      readOnly,
      hosts,
      tokenFile: tokenFileOf(config),
      ...(proxy === undefined ? {} : { proxy }),
    };
  }

  /**
   * Begins to serve. An address that is taken or not there yet is told and tried again: files move meanwhile.
   * @throws {CliError} when the page can never be served like this
   */
  async start(): Promise<void> {
    // Loaded here: whoever wants no page does not pay for it.
    const { HttpError, showAddress, startHttpServer } = await import("../../lib/http/mod.ts");
    if (this.#isEnded) return;
    try {
      this.#server = startHttpServer(this.#site, this.#settings);
      this.#log.info(`Status page on ${showAddress(this.#server.address)}`);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      if (error.code === "usage") {
        throw new CliError(EXIT.config, error.message, error.hint === undefined ? {} : { hint: error.hint });
      }
      this.#log.warning(`${error.message}; trying again${error.hint === undefined ? "" : ` (${error.hint})`}`);
      this.#again = setTimeout(() => void this.start(), AGAIN_MS);
    }
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    clearTimeout(this.#again);
    await this.#server?.close();
  }
}

function siteOf(config: Config, events: EventBus): Site {
  return {
    version: VERSION,
    events,
    teller: tellerOf(config),
    targetsOf: targetCounts(config),
    status: () => readStatus(config),
    spoolBytes: () => readSpoolBytes(config),
    queueAges: () => readQueueAges(config),
    files: (query) => readFiles(config, query),
    why: async (path, job) => tellWhy(path, await readWhy(config, path, job)),
    retry: (request) => administer(config, "retry", request),
    copyOf: (fileId) => readSpoolCopy(config, fileId),
    logTail,
    log: logFor("http"),
  };
}
