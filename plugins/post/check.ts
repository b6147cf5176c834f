/** What `filesync doctor` can find out about an upload form without sending a file. */
import { type Call, DriverError, type Finding } from "../../lib/driver/mod.ts";
import type { PostConfig } from "./config.ts";
import { fetchText, isReachable } from "./reach.ts";

/** Connects, and looks at the page where a person would fill in the form. */
export async function check(config: PostConfig, call: Call): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    await isReachable(config, call.signal);
    findings.push({ name: "connect", ok: true, detail: config.url.host });
    findings.push(await lookAtForm(config, call));
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
    findings.push({
      name: "connect",
      ok: false,
      code: error.code,
      detail: error.message,
      remedy: error.details.hint ?? 'Check "uploader_url" and the network',
    });
    return findings;
  }
  if (config.url.protocol === "http:" && Object.keys(config.headers).length > 0) {
    findings.push({
      name: "tls",
      ok: true,
      detail: "headers and files travel in clear",
      remedy: 'Begin "uploader_url" with https if the server has it',
    });
  }
  if (config.maxBytes !== undefined) {
    findings.push({ name: "limit", ok: true, detail: `files over ${config.maxBytes} bytes are parked` });
  }
  const { isAskable } = config;
  findings.push({
    name: "lost answers",
    ok: true,
    detail: isAskable
      ? "the server is asked for the log before it is sent again"
      : "the server cannot be asked what it has: such an upload waits for a person",
    ...(isAskable ? {} : { remedy: 'Set "on_uncertain" to "retry" in the job if two copies harm less than none' }),
  });
  return findings;
}

async function lookAtForm(config: PostConfig, call: Call): Promise<Finding> {
  const { status, text } = await fetchText(config, config.url, call.signal);
  const detail = `GET answers ${status}`;
  if (status === 401 || status === 403 || status === 407) {
    return {
      name: "form",
      ok: false,
      code: "denied",
      detail,
      remedy: 'Give what the server wants in "headers", such as Authorization',
    };
  }
  if (!config.isFlightReview) {
    // Many forms can only be posted to.
    return { name: "form", ok: true, detail };
  }
  const isForm = status === 200 && text.includes("filearg");
  return {
    name: "form",
    ok: isForm,
    detail: isForm ? "a Flight Review's" : `${detail}, and no Flight Review's form`,
    ...(isForm
      ? {}
      : { code: "unavailable", remedy: 'Check "uploader_url", or log in if the network wants that first' }),
  };
}
