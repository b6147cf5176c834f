/** `filesync serve ftp`: the companion server, for the other end where there is no server yet. */
import { parseDuration, parseSize, resolveSecrets } from "../../lib/config/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import {
  fingerprintOf,
  type FtpEvent,
  type FtpServer,
  type FtpServerOptions,
  startFtpServer,
} from "../../lib/ftpd/mod.ts";
import { makeNotifier } from "../../lib/service/mod.ts";
import { mayWait, Outlet } from "../../lib/observe/mod.ts";
import { CliError, type Context, safeJson } from "../context.ts";
import { ftpLine } from "../output/ftp_lines.ts";
import { identityOf } from "./_ftp_identity.ts";
import { StopSignals } from "./_signals.ts";

/** Below 1024 only root may listen; 21 needs it. */
const PORT = "2121";
/** Characters of events that wait for a reader of stdout at most. */
const WAITING_MAX = 8 * 1024 * 1024;
/** How long sessions have to end when the server is stopped, milliseconds. */
const STOP_MS = 2_000;

export interface Flags {
  root?: string;
  user?: string;
  passwd?: string;
  passwdFile?: string;
  passwdCredential?: string;
  reader?: readonly string[];
  host?: string;
  port?: string;
  passivePorts?: string;
  tls?: boolean;
  tlsCert?: string;
  tlsKey?: string;
  readOnly?: boolean;
  quota?: string;
  idleTimeout?: string;
  maxConnections?: string;
  json?: boolean;
  quiet?: boolean;
}

export async function run(context: Context, flags: Flags): Promise<number> {
  const json = context.switch(flags.json, "json");
  const quiet = context.switch(flags.quiet, "quiet");
  const settings = await settingsOf(context, flags);
  const outlet = new Outlet(Deno.stdout, { waitingMax: WAITING_MAX, mayWait: mayWait("/dev/stdout") });
  const print = (event: object) =>
    outlet.write(safeJson({ schema: 1, time: new Date().toISOString(), ...event }) + "\n");
  const log = (event: FtpEvent) => {
    if (json) print(event);
    const line = ftpLine(event);
    if (line !== undefined && (line.priority < 6 || !(quiet || json))) context.say(line.text, line.priority);
  };
  const signals = new StopSignals(context, undefined);
  const notifier = makeNotifier({ env: (name) => context.env(name) });
  try {
    const server = await start({ ...settings, log });
    if (json) {
      const { host, root, tls } = settings;
      const sha256 = tls === undefined ? {} : { certificateSha256: fingerprintOf(tls.cert) };
      print({ event: "listening", host, port: server.port, root, ...sha256 });
    }
    notifier.ready(`Serving ${settings.root} on port ${server.port}`);
    if (!quiet && !json) { for (const line of greeting(settings, server.port)) context.say(line); }
    if (!signals.signal.aborted) {
      await new Promise((resolve) => signals.signal.addEventListener("abort", resolve, { once: true }));
    }
    notifier.stopping();
    await stopInTime(server);
    await outlet.flush(STOP_MS / 4);
    return signals.exitCode ?? EXIT.ok;
  } finally {
    notifier.close();
    signals.end();
  }
}

/** A disk that does not answer is not waited for. */
async function stopInTime(server: FtpServer): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([server.stop(), new Promise((resolve) => timer = setTimeout(resolve, STOP_MS))]);
  clearTimeout(timer);
}

type Settings = FtpServerOptions & { host: string; port: number };

async function settingsOf(context: Context, flags: Flags): Promise<Settings> {
  const needed = (flag: string | undefined, name: string, placeholder: string): string => {
    const value = context.option(flag, name);
    if (value !== undefined) return value;
    throw new CliError(EXIT.usage, `Expected the option --${name} ${placeholder}`, {
      hint: '"filesync serve ftp --help" shows an example',
    });
  };
  const root = needed(flags.root, "root", "DIR");
  const user = needed(flags.user, "user", "NAME");
  const passivePorts = context.option(flags.passivePorts, "passive-ports");
  const quota = context.option(flags.quota, "quota");
  const idle = context.option(flags.idleTimeout, "idle-timeout");
  const connections = context.option(flags.maxConnections, "max-connections");
  const tls = identityOf(context, flags);
  return {
    root,
    user,
    passwd: await passwdOf(context, flags),
    readers: await readersOf(context, flags),
    host: context.option(flags.host, "host") ?? "127.0.0.1",
    port: number(context.option(flags.port, "port") ?? PORT, "port", 65_535),
    readOnly: context.switch(flags.readOnly, "read-only"),
    ...(passivePorts === undefined ? {} : { passivePorts: range(passivePorts) }),
    ...(tls === undefined ? {} : { tls }),
    ...(quota === undefined ? {} : { quotaBytes: parsed(quota, "quota", parseSize) }),
    limits: {
      ...(idle === undefined ? {} : { idleMs: Math.max(1000, parsed(idle, "idle-timeout", parseDuration)) }),
      ...(connections === undefined
        ? {}
        : { connectionsMax: Math.max(1, number(connections, "max-connections", 10_000)) }),
    },
  };
}

async function passwdOf(context: Context, flags: Flags): Promise<string> {
  if (flags.passwd !== undefined) {
    context.say("Warning: everyone on this machine can see a password on the command line: use --passwd-file", 4);
    return flags.passwd === "" ? noPasswd() : flags.passwd;
  }
  const file = context.option(flags.passwdFile, "passwd-file");
  if (file !== undefined) return await secret(context, { file });
  const credential = context.option(flags.passwdCredential, "passwd-credential");
  if (credential !== undefined) return await secret(context, { credential });
  return context.option(undefined, "passwd") ?? noPasswd();
}

function noPasswd(): never {
  throw new CliError(EXIT.usage, "Expected a password, and there is no default", {
    hint: "Put it into a file that only you can read, and name that: --passwd-file FILE",
  });
}

async function readersOf(context: Context, flags: Flags): Promise<{ user: string; passwd: string }[]> {
  const readers: { user: string; passwd: string }[] = [];
  for (const text of context.options(flags.reader, "reader") ?? []) {
    const [, user, file] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (user === undefined || file === undefined) {
      throw new CliError(EXIT.usage, `Cannot understand --reader "${text}": expected NAME=FILE`);
    }
    readers.push({ user, passwd: await secret(context, { file }) });
  }
  return readers;
}

async function secret(context: Context, reference: { file: string } | { credential: string }): Promise<string> {
  if ("file" in reference) warnOfReadable(context, reference.file);
  const { passwd } = await resolveSecrets({ passwd: reference }, { env: context.variables });
  return passwd as string;
}

function warnOfReadable(context: Context, file: string): void {
  try {
    if (((Deno.statSync(file).mode ?? 0) & 0o004) === 0) return;
  } catch {
    return; // Reading it will say what is wrong.
  }
  context.say(`Warning: everyone on this machine can read the password in "${file}": chmod 600 it`, 4);
}

function parsed(text: string, name: string, parse: (text: string) => number): number {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CliError(EXIT.usage, `Cannot understand --${name} "${text}": ${error.message}`);
  }
}

function number(text: string, name: string, max: number): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= max) return Number(text);
  throw new CliError(EXIT.usage, `Cannot understand --${name} "${text}": expected a number up to ${max}`);
}

function range(text: string): { first: number; last: number } {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const ports = { first: Number(first), last: Number(last) };
  if (ports.first >= 1 && ports.first <= ports.last && ports.last <= 65_535) return ports;
  throw new CliError(
    EXIT.usage,
    `Cannot understand --passive-ports "${text}": expected FIRST-LAST, such as 50000-50099`,
  );
}

async function start(settings: Settings): Promise<FtpServer> {
  const { root, host, port } = settings;
  try {
    const { isDirectory } = await Deno.stat(root);
    if (!isDirectory) throw new CliError(EXIT.config, `Cannot serve "${root}": it is not a directory`);
    for await (const _ of Deno.readDir(root)) break;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new CliError(EXIT.unavailable, `Cannot serve "${root}": no such directory`, {
        hint: "Make it, or mount its disk",
      });
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new CliError(EXIT.denied, `Cannot serve "${root}": permission denied`);
    }
    throw error;
  }
  try {
    return await startFtpServer(settings);
  } catch (error) {
    if (error instanceof TypeError) throw new CliError(EXIT.config, error.message);
    const where = `Cannot listen on ${host} port ${port}`;
    if (error instanceof Deno.errors.AddrInUse) {
      throw new CliError(EXIT.failed, `${where}: another program has it`, { hint: "Choose another one with --port" });
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new CliError(EXIT.denied, `${where}: permission denied`, {
        hint: "Ports below 1024 need root: use --port 2121",
      });
    }
    if (error instanceof Deno.errors.AddrNotAvailable) {
      throw new CliError(EXIT.unavailable, `${where}: this machine has no such address`);
    }
    throw error;
  }
}

function* greeting(settings: Settings, port: number): Generator<string> {
  yield `Serving "${settings.root}" on ${settings.host} port ${port}${settings.readOnly ? ", read-only" : ""}`;
  if (settings.tls !== undefined) yield `Certificate's SHA-256: ${fingerprintOf(settings.tls.cert)}`;
  if (/^(127\.|::1$|localhost$)/.test(settings.host)) {
    yield "Only this machine can connect; --host 0.0.0.0 lets the network in";
  }
}
