/** What `filesync doctor` can find out about a server without moving a file of the user's. */
import { type Call, DriverError, type Finding } from "../../lib/driver/mod.ts";
import { listFolder } from "./entries.ts";
import { toDriverError } from "./errors.ts";
import { temporaryName } from "./names.ts";
import { probePartialWrite } from "./partial_write.ts";
import { discard, DONE } from "./send.ts";
import { enterRoot, type Tools } from "./tools.ts";
import { urlOf } from "./paths.ts";

/** Connects and looks; a target also gets probe files written, renamed and deleted. */
export async function check(tools: Tools, device: string, call: Call): Promise<Finding[]> {
  const { server, role } = tools;
  const { config } = server;
  const findings: Finding[] = [];
  try {
    await enterRoot(tools, call);
    findings.push({ name: "connect", ok: true, detail: config.root.host });
    findings.push({
      name: "login",
      ok: true,
      detail: config.authorization === undefined ? "without a login" : `taken, root is "${config.root.pathname}"`,
    });
  } catch (error) {
    findings.push(failure("connect", toDriverError(error, `connect to "${device}"`), 'Check "host" and the network'));
    return findings;
  }
  if (config.root.protocol === "http:") {
    findings.push({
      name: "tls",
      ok: true,
      detail: "password and files travel in clear",
      remedy: 'Begin "host" with https if the server has it',
    });
  }
  await look(findings, "list", `list "${device}"`, async () => {
    let count = 0;
    const counting: Call = {
      signal: call.signal,
      progress: (...args) => call.progress(...args),
      throttle: (bytes) => call.throttle(bytes),
      entries: (entries) => Promise.resolve(void (count += entries.length)),
    };
    await listFolder(server, "", counting);
    return `${count} names in the root`;
  });
  if (role === "source") return findings;
  await look(findings, "room", `ask "${device}" for its room`, async () => {
    let freeBytes: number | undefined;
    await server.propfind(
      server.url("", true),
      0,
      (found) => void (freeBytes ??= found.freeBytes),
      call.signal,
      "quota",
    );
    return freeBytes === undefined ? "not told" : `${freeBytes} bytes may still be written`;
  });
  if (config.kind === "nextcloud") {
    findings.push({ name: "resume", ok: true, detail: "in chunks of 5 MiB from 10 MiB on" });
    return findings;
  }
  await look(findings, "write", `write to "${device}"`, () => probe(tools, call));
  await look(findings, "resume", `find out how "${device}" adds bytes`, async () => {
    if (config.kind === "yandex") {
      return "not offered: cut uploads start again, unless the server has the bytes already";
    }
    const kind = await probePartialWrite(server, "", call);
    tools.memory.learn(kind);
    return kind === "none"
      ? "not offered: cut uploads start again"
      : kind === "patch"
      ? "by PATCH, as sabre/dav does"
      : "by PUT with Content-Range, as Apache does";
  });
  return findings;
}

async function probe({ server }: Tools, call: Call): Promise<string> {
  const [from, to] = [temporaryName(), temporaryName()];
  const body = new TextEncoder().encode("FileSync was here\n");
  const put = { method: "PUT", url: server.url(from), headers: { "Content-Length": body.length }, body };
  await server.expect(put, DONE, call.signal);
  try {
    const headers = { Destination: urlOf(server.config.destination, to).href, Overwrite: "F" };
    await server.expect({ method: "MOVE", url: server.url(from), headers }, DONE, call.signal);
    const found = await server.look(to, call.signal);
    if (found?.sizeBytes !== body.length) {
      throw new DriverError("failed", "Server holds another size of the probe file than was sent");
    }
  } finally {
    await discard(server, from, call.signal);
    await discard(server, to, call.signal);
  }
  return "a probe file was written, renamed and deleted";
}

async function look(findings: Finding[], name: string, action: string, run: () => Promise<string>): Promise<void> {
  try {
    findings.push({ name, ok: true, detail: await run() });
  } catch (error) {
    findings.push(failure(name, toDriverError(error, action)));
  }
}

function failure(name: string, error: DriverError, remedy?: string): Finding {
  const { code, details: { hint = remedy } } = error;
  return { name, ok: false, detail: error.message, code, ...(hint === undefined ? {} : { remedy: hint }) };
}
