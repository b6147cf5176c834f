/** One POST of a form: its fields, then the file from the spool, with the length told beforehand. */
import type { Call, UploadParams } from "../../lib/driver/mod.ts";
import { LivingCall } from "../../lib/protocol/serve.ts";
import { HttpClient } from "../http/client.ts";
import { writeFile } from "../http/file_body.ts";
import type { Answer } from "./answer.ts";
import type { PostConfig } from "./config.ts";
import { envelopeFor } from "./form.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

/** Who we are, for a server's log. */
export const USER_AGENT = `FileSync/${manifest.version}`;

/** How long a connection may take nothing of the fields, milliseconds. */
const SEND_TIMEOUT_MS = 120_000;
/** How long a server may think about a file: a Flight Review reads the whole log before it answers, milliseconds. */
const ANSWER_TIMEOUT_MS = 300_000;
/** Slowest reading of a server that thinks about a large file, bytes a millisecond: 180 s for a gigabyte. */
const ANSWER_BYTES_PER_MS = 5_500;

/**
 * Sends the form and returns what the server said, whatever it said.
 * @throws {ConnectionLost} when it said nothing
 * @throws {DriverError} `corrupt` when the spool file is not what was promised; then nothing arrived
 */
export async function sendForm(
  config: PostConfig,
  params: UploadParams,
  call: Call,
  options: {
    /** Fields beside the file. */
    values: ReadonlyMap<string, string>;
    /** Where to, when not to the configured address. */
    url?: (bodyBytes: number) => URL;
  },
): Promise<Answer> {
  const { head, tail, contentType } = envelopeFor({ values: options.values, field: config.field, path: params.path });
  const bodyBytes = head.length + params.sizeBytes + tail.length;
  // A kept connection may have died unseen; then nobody could tell whether the form arrived.
  const client = new HttpClient({
    keep: 0,
    headers: { "User-Agent": USER_AGENT, Accept: "application/json, */*;q=0.5", ...config.headers },
    ...(config.ca === undefined ? {} : { ca: config.ca }),
  });
  const headers = { "Content-Type": contentType, "Content-Length": bodyBytes };
  const exchange = client.begin("POST", options.url?.(bodyBytes) ?? config.url, headers, call.signal);
  using living = new LivingCall(call, 0);
  living.progress(0);
  try {
    await exchange.write(head, SEND_TIMEOUT_MS);
    await writeFile(exchange, params, living);
    const reply = await exchange.end(ANSWER_TIMEOUT_MS + params.sizeBytes / ANSWER_BYTES_PER_MS, tail);
    const [location, retryAfter] = [reply.header("location"), reply.header("retry-after")];
    return {
      status: reply.status,
      isEarly: reply.isEarly,
      text: await reply.text(),
      ...(location === undefined ? {} : { location }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
    };
  } finally {
    exchange.close();
    client.close();
  }
}
