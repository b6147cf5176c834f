/** What `filesync doctor` can find out about a server without moving a file of the user's. */
import { type Call, DriverError, type Finding, type Role } from "../../lib/driver/mod.ts";
import { Transfer } from "./data.ts";
import { listDirectory, lookUp } from "./entries.ts";
import { toDriverError } from "./errors.ts";
import type { Pool } from "./pool.ts";
import { publish } from "./publish.ts";
import type { Session } from "./session.ts";

/** Connects and looks; a target also gets a probe file written, renamed and deleted. */
export async function check(pool: Pool, role: Role, device: string, call: Call): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    await pool.use(call.signal, async (session) => {
      await session.enterRoot();
      findings.push(...aboutSession(session));
      await look(findings, "list", `list "${device}"`, async () => {
        let count = 0;
        await listDirectory(session, "", {
          ...call,
          entries: (entries) => Promise.resolve(void (count += entries.length)),
        });
        return `${count} names in the root`;
      });
      if (role === "target") await look(findings, "write", `write to "${device}"`, () => probe(session));
    });
  } catch (error) {
    findings.push(failure("connect", toDriverError(error, `connect to "${device}"`)));
  }
  return findings;
}

function aboutSession(session: Session): Finding[] {
  const { host, port, user } = session.context.config;
  const findings: Finding[] = [
    { name: "connect", ok: true, detail: `${host} port ${port}` },
    { name: "login", ok: true, detail: `as "${user}", root is "${session.base}"` },
  ];
  if (session.tls === undefined) {
    findings.push({
      name: "tls",
      ok: true,
      detail: "password and files travel in clear",
      ...(session.has("auth tls") || session.has("auth")
        ? { remedy: 'Server offers TLS: set "secure" to "explicit"' }
        : {}),
    });
  } else if (session.tls.resumes) {
    findings.push({ name: "tls", ok: true, detail: "on, data connections resume the session" });
  } else {
    findings.push({
      name: "tls",
      ok: true,
      detail: "on, data connections cannot resume the session, which many servers demand",
      remedy: "Install OpenSSL 3: apt install libssl3",
    });
  }
  const hasTimes = session.hasMlst || session.has("mdtm");
  findings.push({
    name: "times",
    ok: true,
    ...(hasTimes ? {} : { remedy: "Use a server with MLSD or MDTM if files change without changing their size" }),
    detail: session.hasMlst
      ? "MLSD"
      : session.has("mdtm")
      ? "LIST and MDTM"
      : "none: a change that keeps the size is missed",
  });
  const restarts = session.has("rest stream") || session.has("rest");
  findings.push({
    name: "resume",
    ok: true,
    ...(restarts ? {} : { remedy: "Use a server with REST STREAM if links are cut" }),
    detail: restarts ? "REST STREAM" : "not offered: cut downloads start again",
  });
  findings.push({
    name: "utf8",
    ok: true,
    detail: session.has("utf8") ? "UTF8" : "not told: names are sent as UTF-8 all the same",
  });
  return findings;
}

async function probe(session: Session): Promise<string> {
  // Both under names of our own unfinished uploads, so that nobody takes what a failure leaves for a file.
  const name = () => `filesync-${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}.part`;
  const from = name();
  const to = name();
  const bytes = new TextEncoder().encode("FileSync was here\n");
  const transfer = await Transfer.open(session, `STOR ${session.path(from)}`);
  try {
    await transfer.write(bytes);
  } catch (error) {
    transfer.destroy();
    throw error;
  }
  await transfer.finish();
  try {
    await publish(session, from, to, bytes.length, false);
  } catch (error) {
    await session.control.command(`DELE ${session.path(from)}`);
    throw error;
  }
  const found = await lookUp(session, to);
  await session.control.expect(`DELE ${session.path(to)}`);
  if (found?.kind !== "file" || found.sizeBytes !== bytes.length) {
    throw new DriverError("failed", "Server holds another size of the probe file than was sent");
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

function failure(name: string, error: DriverError): Finding {
  const { code, details: { hint } } = error;
  return { name, ok: false, detail: error.message, code, ...(hint === undefined ? {} : { remedy: hint }) };
}
