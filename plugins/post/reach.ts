/** Small questions to the server: whether it is there, and what a page of it says. */
import ky from "ky";
import { DriverError } from "../../lib/driver/mod.ts";
import type { PostConfig } from "./config.ts";
import { USER_AGENT } from "./send.ts";

/** How long a server may take for one of them, milliseconds. */
const TIMEOUT_MS = 30_000;
/** What is read of a page. */
const PAGE_BYTES_MAX = 1024 * 1024;

/**
 * Opens a connection and closes it again: nothing is asked of the server.
 * @throws {DriverError} `unavailable`
 */
export async function isReachable({ url }: PostConfig, signal: AbortSignal): Promise<void> {
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  try {
    const conn = await Deno.connect({
      hostname,
      port,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    conn.close();
  } catch (error) {
    signal.throwIfAborted();
    throw new DriverError("unavailable", `${url.host} cannot be reached: ${wordsOf(error)}`, { cause: error });
  }
}

/**
 * A page of the server, its beginning at least; redirects are not followed.
 * @throws {DriverError} `unavailable` when there is no answer
 */
export async function fetchText(
  config: PostConfig,
  url: URL,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const client = config.ca === undefined ? undefined : Deno.createHttpClient({ caCerts: [config.ca] });
  try {
    const response = await ky.get(url, {
      headers: { "User-Agent": USER_AGENT, ...config.headers },
      redirect: "manual",
      retry: 0,
      throwHttpErrors: false,
      timeout: TIMEOUT_MS,
      signal,
      ...(client === undefined ? {} : { fetch: (input, init) => fetch(input, { ...init, client }) }),
    });
    return { status: response.status, text: await beginningOf(response) };
  } catch (error) {
    signal.throwIfAborted();
    throw new DriverError("unavailable", `${url.host} does not answer: ${wordsOf(error)}`, { cause: error });
  } finally {
    client?.close();
  }
}

async function beginningOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    // Leaving the loop cancels the rest.
    if (text.length >= PAGE_BYTES_MAX) break;
  }
  return text + decoder.decode();
}

function wordsOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s+/g, " ");
}
