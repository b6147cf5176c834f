/**
 * Reads secrets from where the configuration says they are kept. What is read is in no message.
 */
import { join } from "node:path";
import { ConfigError, formatKey, type Path } from "./explain.ts";
import type { JsonSchema } from "./json_schema.ts";
import { locateInFile } from "./parse.ts";
import { mapValues, type SecretReference, secretReferences } from "./references.ts";

/** How long a secret's command may take, milliseconds. */
const COMMAND_MS_MAX = 10_000;
/** Most bytes of a secret: a private key in PEM is under 16 KiB. */
const SECRET_BYTES_MAX = 64 * 1024;
/** The environment in which references are read. */
export interface SecretOptions {
  /** By default the environment of this process. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Where systemd puts credentials; by default `$CREDENTIALS_DIRECTORY` of `env`. */
  credentialsDir?: string;
  /** The driver's args schema: an object such as `{"file": "x"}` is a reference only where a string is allowed. */
  schema?: JsonSchema;
  /** For messages: the configuration file, and the key of the device in it. */
  file?: string;
  place?: string;
  /** Longest time for a command, milliseconds. */
  commandMsMax?: number;
}

/**
 * `args` with every reference replaced by the secret that it names.
 * @throws {ConfigError} Naming every reference that cannot be read, and what to do; never a secret
 */
export async function resolveSecrets(
  args: Record<string, unknown>,
  options: SecretOptions = {},
): Promise<Record<string, unknown>> {
  const secrets = new Map<string, string>();
  const flaws: { path: Path; message: string; hint: string }[] = [];
  for (const path of secretReferences(args, options.schema)) {
    const reference = path.reduce<unknown>((at, part) => (at as Record<string | number, unknown>)[part], args);
    try {
      secrets.set(formatKey(path), await readSecret(reference as SecretReference, options));
    } catch (error) {
      if (!(error instanceof SecretProblem)) throw error;
      flaws.push({ path, message: error.message, hint: error.hint });
    }
  }
  if (flaws.length > 0) {
    throw new ConfigError(flaws.map(({ path, message, hint }) => {
      const inside = formatKey(path);
      const key = options.place === undefined
        ? inside
        : `${options.place}.args${inside.startsWith("[") ? "" : "."}${inside}`;
      const { file } = options;
      return { file: file ?? "", ...(file === undefined ? {} : locateInFile(file, key)), key, message, hint };
    }));
  }
  return mapValues(args, (value, path) => secrets.get(formatKey(path)) ?? value) as Record<string, unknown>;
}

class SecretProblem extends Error {
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

function readSecret(reference: SecretReference, options: SecretOptions): string | Promise<string> {
  const variable = (name: string) => options.env === undefined ? Deno.env.get(name) : options.env[name];
  if ("env" in reference) {
    if (/[=\0]/.test(reference.env)) {
      throw new SecretProblem(`Expected the name of an environment variable, got "${reference.env}"`, "Name one");
    }
    const value = variable(reference.env);
    if (value !== undefined && value !== "") return value;
    throw new SecretProblem(
      `Environment variable "${reference.env}" is ${value === undefined ? "not set" : "empty"}`,
      `Set ${reference.env} where filesync is started, for a service with EnvironmentFile=`,
    );
  }
  if ("file" in reference) return readSecretFile(reference.file, `Make it readable for the user that runs filesync`);
  if ("credential" in reference) {
    const name = reference.credential;
    const dir = options.credentialsDir ?? variable("CREDENTIALS_DIRECTORY");
    const remedy = `Add LoadCredential=${name}:/path/of/the/file to the service`;
    if (name.includes("/") || name === "." || name === "..") {
      throw new SecretProblem(`Expected the name of a credential, got "${name}"`, 'Use {"file": …} for a path');
    }
    if (dir === undefined || dir === "") {
      throw new SecretProblem(`Cannot read credential "${name}": $CREDENTIALS_DIRECTORY is not set`, remedy);
    }
    return readSecretFile(join(dir, name), remedy);
  }
  return runSecretCommand(reference.command, options.commandMsMax ?? COMMAND_MS_MAX);
}

function readSecretFile(path: string, remedy: string): string {
  const fail = (why: string, hint = remedy) => new SecretProblem(`Cannot read key file "${path}": ${why}`, hint);
  let bytes: Uint8Array;
  try {
    const { size, isFile } = Deno.statSync(path);
    if (!isFile) throw fail("it is no file", "Name the file that holds the secret");
    if (size > SECRET_BYTES_MAX) throw fail(`it has ${size} bytes`, "Name the file that holds the secret alone");
    bytes = Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof SecretProblem) throw error;
    if (error instanceof Deno.errors.NotFound) throw fail("no such file", "Make the file, or correct its path");
    if (error instanceof Deno.errors.PermissionDenied) throw fail("permission denied");
    throw fail(error instanceof Error ? error.message : String(error));
  }
  return secretText(bytes, fail);
}

function secretText(bytes: Uint8Array, fail: (why: string, hint: string) => SecretProblem): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch {
    throw fail("it holds bytes that are no UTF-8", "Store the secret as text");
  }
  if (text === "") throw fail("it is empty", "Put the secret into it");
  return text;
}

async function runSecretCommand(command: readonly string[], timeoutMs: number): Promise<string> {
  const [program = "", ...args] = command;
  // Only the program is named: arguments may hold what nobody should read.
  const fail = (why: string, hint = "Run the command by hand as the user that runs filesync") =>
    new SecretProblem(`Cannot read the secret from command "${program}": ${why}`, hint);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
  } catch (error) {
    throw fail(error instanceof Deno.errors.NotFound ? "no such program" : "it cannot be started", "Check its path");
  }
  const reader = child.stdout.getReader();
  let timedOut = false;
  let tooLong = false;
  const stop = () => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It ended by itself meanwhile.
    }
    return reader.cancel();
  };
  const timer = setTimeout(() => {
    timedOut = true;
    void stop();
  }, timeoutMs);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    size += part.value.length;
    if (size > SECRET_BYTES_MAX) {
      tooLong = true;
      await stop();
    }
  }
  const { code, signal } = await child.status;
  clearTimeout(timer);
  if (timedOut) throw fail(`no end after ${timeoutMs / 1000} s`);
  if (tooLong) throw fail(`it printed more than ${SECRET_BYTES_MAX} bytes`);
  if (code !== 0) throw fail(signal === null ? `exit code ${code}` : `killed by ${signal}`);
  const bytes = new Uint8Array(size);
  chunks.reduce((at, chunk) => (bytes.set(chunk, at), at + chunk.length), 0);
  return secretText(bytes, (why, hint) => fail(why.replace("it", "its output"), hint));
}
