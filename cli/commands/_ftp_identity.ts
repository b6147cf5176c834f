/** The certificate that `serve ftp --tls` shows: a person's, or one that is made at the first start and kept. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { makeIdentity, type ServerIdentity } from "../../lib/ftpd/mod.ts";
import { CliError, type Context } from "../context.ts";

/** Options about TLS. */
export interface TlsFlags {
  tls?: boolean;
  tlsCert?: string;
  tlsKey?: string;
}

/** Certificate and key in one file, so that they are there together or not at all. */
const KEPT = "ftp-tls.pem";
/** The certificate alone, to be given to clients. */
const COPY = "ftp-tls.crt";

/**
 * The identity of the server; `undefined` without `--tls`.
 * @throws {CliError} If it cannot be read, made or kept
 */
export function identityOf(context: Context, flags: TlsFlags): ServerIdentity | undefined {
  const certFile = context.option(flags.tlsCert, "tls-cert");
  const keyFile = context.option(flags.tlsKey, "tls-key");
  if (!context.switch(flags.tls, "tls")) {
    if (certFile === undefined && keyFile === undefined) return undefined;
    throw new CliError(EXIT.usage, "Expected --tls beside --tls-cert and --tls-key");
  }
  if (certFile === undefined && keyFile === undefined) return ownIdentity(context);
  if (certFile === undefined || keyFile === undefined) {
    throw new CliError(EXIT.usage, "Expected both --tls-cert and --tls-key, or neither");
  }
  const identity = { cert: readPem(certFile, "CERTIFICATE"), key: readPem(keyFile, "PRIVATE KEY") };
  try {
    // The runtime knows whether it can use them, and whether they belong together.
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...identity }).close();
  } catch (error) {
    throw new CliError(EXIT.config, `Cannot use "${certFile}" with "${keyFile}": ${wordsOf(error)}`);
  }
  return identity;
}

function readPem(file: string, label: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error && error.code === "EACCES" ? EXIT.denied : EXIT.config;
    throw new CliError(code, `Cannot read "${file}": ${wordsOf(error)}`);
  }
  if (new RegExp(`^-----BEGIN [A-Z ]*${label}-----$`, "m").test(text)) return text;
  throw new CliError(EXIT.config, `Cannot use "${file}": it holds no ${label.toLowerCase()} in PEM form`);
}

function ownIdentity(context: Context): ServerIdentity {
  const dir = stateDir(context);
  const file = join(dir, KEPT);
  const kept = readKept(file);
  if (kept !== undefined) return kept;
  const name = hostname().toLowerCase().replace(/\.$/, "");
  const addresses = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const identity = makeIdentity(
    name === "localhost" ? ["localhost"] : [name, ...(name.includes(".") ? [] : [`${name}.local`]), "localhost"],
    [...new Set(["127.0.0.1", "::1", ...addresses])],
  );
  try {
    Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
    write(file, identity.cert + identity.key, 0o600);
    write(join(dir, COPY), identity.cert, 0o644);
  } catch (error) {
    throw new CliError(EXIT.denied, `Cannot keep a certificate in "${dir}": ${wordsOf(error)}`, {
      hint: "Give one of your own with --tls-cert and --tls-key",
    });
  }
  context.say(`Made a certificate for ${name}: give clients "${join(dir, COPY)}", or its SHA-256`);
  return identity;
}

function readKept(file: string): ServerIdentity | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new CliError(EXIT.denied, `Cannot read "${file}": ${wordsOf(error)}`);
  }
  const [, cert, key] = /^(-----BEGIN CERT[^]+?END CERTIFICATE-----\n)(-----BEGIN PRIV[^]+END PRIVATE KEY-----\n)$/
    .exec(text) ?? [];
  if (cert !== undefined && key !== undefined) return { cert, key };
  // Clients trust this very one: a new one in its place would lock them out without a word.
  throw new CliError(EXIT.config, `Cannot use "${file}": it is damaged`, {
    hint: "Put it back from a copy, or remove it, and let clients trust the new one that is made then",
  });
}

function stateDir(context: Context): string {
  const state = context.env("STATE_DIRECTORY")?.split(":")[0];
  if (state) return state;
  const home = context.env("HOME");
  const xdg = context.env("XDG_STATE_HOME") || (home ? join(home, ".local/state") : undefined);
  if (xdg) return join(xdg, "filesync");
  throw new CliError(EXIT.config, "Cannot keep a certificate: neither $STATE_DIRECTORY nor $HOME is set", {
    hint: "Give one of your own with --tls-cert and --tls-key",
  });
}

/** Whole or not at all. */
function write(file: string, text: string, mode: number): void {
  writeFileSync(`${file}.new`, text, { mode, flush: true });
  renameSync(`${file}.new`, file);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
