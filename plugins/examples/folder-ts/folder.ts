/** A directory of this machine as a source and a target: a whole driver for Deno, in one file and without a package. */
import { createHash } from "node:crypto";
import { dirname, extname } from "node:path";

const NAME = "folder-ts";
const CHUNK_BYTES = 256 * 1024;
const OVERLAP_BYTES = 64 * 1024;
const BATCH = 500;

/** Of all methods: each has its own part of them. */
interface Params {
  args: { dir?: unknown };
  directory: string;
  recursive?: boolean;
  path: string;
  spoolFile: string;
  offsetBytes: number;
  expect: Fingerprint;
  sizeBytes: number;
  sha256: string;
  modifiedMs?: number;
  onExisting: "replace" | "rename" | "fail";
}

interface Call {
  id: number | string;
  method: string;
  params: Params;
}

interface Fingerprint {
  sizeBytes?: number;
  modifiedMs?: number;
}

interface Entry extends Fingerprint {
  path: string;
  kind: "file" | "directory";
  problem?: string;
}

/** What went wrong: the code decides what FileSync does, the message is for people. */
class Failure extends Error {
  readonly data: Record<string, unknown>;

  constructor(code: string, message: string, more: Record<string, unknown> = {}) {
    super(message);
    this.data = { code, ...more };
  }
}

let root = "";
let toldMs = 0;
const cancelled = new Set<number | string>();

function send(message: object): void {
  const bytes = new TextEncoder().encode(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

/** At most five times a second. */
function progress(call: Call, doneBytes: number): void {
  if (performance.now() - toldMs < 200) return;
  toldMs = performance.now();
  send({ method: "$/progress", params: { id: call.id, doneBytes } });
}

function checkCancel(call: Call): void {
  if (cancelled.has(call.id)) throw new Failure("cancelled", "Call is cancelled");
}

/** The place of a path of the contract, checked again: names are hostile input. */
function local(path: string): string {
  // deno-lint-ignore no-control-regex -- they are what is looked for
  const isBad = /[\u0000-\u001f\u007f]/.test(path) || path.split("/").some((part) => ["", ".", ".."].includes(part));
  if (path !== "" && isBad) throw new Failure("failed", `Cannot use the path ${JSON.stringify(path)}`);
  if (!isDirectory(root)) throw new Failure("unavailable", `Cannot find "${root}": is it mounted?`);
  return path === "" ? root : `${root}/${path}`;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

function fingerprint(info: Deno.FileInfo): Fingerprint {
  return { sizeBytes: info.size, modifiedMs: Math.floor(info.mtime?.getTime() ?? 0) };
}

function entryOf(path: string, info: Deno.FileInfo): Entry | undefined {
  if (info.isDirectory) return { path, kind: "directory" };
  return info.isFile ? { path, kind: "file", ...fingerprint(info) } : undefined;
}

function look(path: string): Deno.FileInfo {
  const place = local(path);
  try {
    return Deno.lstatSync(place);
  } catch (error) {
    throw isMissing(error) ? new Failure("not_found", `Cannot find "${path}"`) : error;
  }
}

function expectSame(path: string, expect: Fingerprint, found: Fingerprint): void {
  for (const field of ["sizeBytes", "modifiedMs"] as const) {
    if (expect[field] === undefined || expect[field] === found[field]) continue;
    throw new Failure("changed", `"${path}" changed: expected ${field} ${expect[field]}, found ${found[field]}`);
  }
}

function initialize({ params }: Call): object {
  const { dir } = params.args;
  if (typeof dir !== "string" || !dir.startsWith("/")) {
    throw new Failure("invalid_config", 'Argument "dir" must be an absolute path', { pointer: "/dir" });
  }
  root = dir.replace(/\/+$/, "") || "/";
  const capabilities = {
    resumeDownload: true,
    repeatable: true,
    confirm: true,
    recursiveList: true,
    remove: true,
    atomicReplace: true,
    modifiedPrecisionMs: 1,
  };
  return { name: NAME, version: "1.0.0", capabilities };
}

async function list(call: Call): Promise<object> {
  const { directory, recursive } = call.params;
  let entries: Entry[] = [];
  const flush = () => {
    if (entries.length > 0) send({ method: "$/entries", params: { id: call.id, entries } });
    entries = [];
  };
  const walk = async (path: string): Promise<void> => {
    if (!look(path).isDirectory) throw new Failure("not_found", `"${path}" is no directory`);
    for await (const { name } of Deno.readDir(local(path))) {
      checkCancel(call);
      const below = path === "" ? name : `${path}/${name}`;
      const found = name.includes("\ufffd")
        ? { path: below, kind: "file" as const, problem: "Name is not valid UTF-8: rename the file" }
        : entryIfThere(below);
      if (found === undefined) continue;
      entries.push(found);
      if (entries.length >= BATCH) flush();
      if (found.kind === "directory" && recursive === true) await walk(below);
    }
  };
  await walk(directory);
  flush();
  return { complete: true };
}

/** A name that vanished meanwhile, or is neither a file nor a directory, is left out. */
function entryIfThere(path: string): Entry | undefined {
  try {
    return entryOf(path, look(path));
  } catch (error) {
    if (error instanceof Failure && error.data["code"] === "not_found") return undefined;
    throw error;
  }
}

function stat({ params: { path } }: Call): object {
  const found = entryOf(path, look(path));
  if (found === undefined) throw new Failure("not_found", `"${path}" is neither a file nor a directory`);
  return found;
}

/** Reads up to a chunk; `undefined` at the end. */
async function read(file: Deno.FsFile, bytes = CHUNK_BYTES): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(bytes);
  const count = await file.read(buffer);
  return count === null ? undefined : buffer.subarray(0, count);
}

async function write(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

async function readAll(file: Deno.FsFile, length: number): Promise<Uint8Array> {
  const all = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const part = await read(file, length - done);
    if (part === undefined) break;
    all.set(part, done);
    done += part.length;
  }
  return all.subarray(0, done);
}

async function download(call: Call): Promise<object> {
  const { path, spoolFile, offsetBytes, expect } = call.params;
  expectSame(path, expect, fingerprint(look(path)));
  using source = await Deno.open(local(path));
  using spool = await Deno.open(spoolFile, { read: true, write: true });
  await spool.truncate(offsetBytes);
  const start = Math.max(0, offsetBytes - OVERLAP_BYTES);
  await source.seek(start, Deno.SeekMode.Start);
  await spool.seek(start, Deno.SeekMode.Start);
  const [held, theirs] = [await readAll(spool, offsetBytes - start), await readAll(source, offsetBytes - start)];
  if (held.length !== theirs.length || held.some((byte, at) => byte !== theirs[at])) {
    throw new Failure("corrupt", `"${path}" differs from what was fetched of it before`);
  }
  let doneBytes = offsetBytes;
  for (let chunk = await read(source); chunk !== undefined; chunk = await read(source)) {
    checkCancel(call);
    await write(spool, chunk);
    progress(call, doneBytes += chunk.length);
  }
  const found = fingerprint(look(path));
  expectSame(path, expect, found);
  return { sizeBytes: found.sizeBytes, fingerprint: found };
}

async function sha256(file: Deno.FsFile, each: (chunk: Uint8Array) => void | Promise<void>): Promise<string> {
  const hash = createHash("sha256");
  for (let chunk = await read(file); chunk !== undefined; chunk = await read(file)) {
    hash.update(chunk);
    await each(chunk);
  }
  return hash.digest("hex");
}

function receiptOf(path: string, { sizeBytes, sha256 }: Params): object {
  return { path, sizeBytes, verified: "checksum", checksum: { algorithm: "sha256", value: sha256 } };
}

/** The receipt of what is there already, or `null`; `undefined` when the name is free. */
async function landed(path: string, params: Params): Promise<object | null | undefined> {
  const there = entryIfThere(path);
  if (there === undefined) return isTaken(path) ? null : undefined;
  if (there.kind !== "file" || there.sizeBytes !== params.sizeBytes) return null;
  using file = await Deno.open(local(path));
  return await sha256(file, () => {}) === params.sha256 ? receiptOf(path, params) : null;
}

function isTaken(path: string): boolean {
  try {
    look(path);
    return true;
  } catch (error) {
    if (error instanceof Failure && error.data["code"] === "not_found") return false;
    throw error;
  }
}

/** What `"rename"` tries: a/log.ulg, a/log~2.ulg, a/log~3.ulg; a long name is shortened to fit. */
function* names(path: string): Generator<string> {
  yield path;
  const directory = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
  const name = path.slice(directory.length);
  const extension = extname(name);
  let stem = name.slice(0, name.length - extension.length);
  for (let n = 2; n < 1000; n++) {
    const tail = `~${n}${extension}`;
    while (new TextEncoder().encode(stem + tail).length > 255) stem = [...stem].slice(0, -1).join("");
    yield directory + stem + tail;
  }
}

async function upload(call: Call): Promise<object> {
  const { params } = call;
  const { path, spoolFile, modifiedMs } = params;
  if (path === "") throw new Failure("failed", "Cannot upload to the root itself");
  const directory = dirname(local(path));
  await Deno.mkdir(directory, { recursive: true });
  const key = createHash("sha256").update(`${path}\n${params.sha256}`).digest("hex").slice(0, 16);
  const part = `${directory}/filesync-${key}.part`;
  try {
    using spool = await Deno.open(spoolFile);
    using out = await Deno.open(part, { write: true, create: true, truncate: true });
    let doneBytes = 0;
    const digest = await sha256(spool, async (chunk) => {
      checkCancel(call);
      await write(out, chunk);
      progress(call, doneBytes += chunk.length);
    });
    if (digest !== params.sha256) throw new Failure("corrupt", `The spool's copy of "${path}" is damaged`);
    if (modifiedMs !== undefined) await out.utime(modifiedMs / 1000, modifiedMs / 1000);
    await out.sync();
    return await publish(part, params);
  } finally {
    await Deno.remove(part).catch((error) => {
      if (!isMissing(error)) throw error;
    });
  }
}

/** Gives the whole file its name in one step: two movers may meet here. */
async function publish(part: string, params: Params): Promise<object> {
  for (const name of params.onExisting === "rename" ? names(params.path) : [params.path]) {
    const receipt = await landed(name, params);
    if (receipt) return receipt;
    try {
      if (params.onExisting === "replace") await Deno.rename(part, local(name));
      else await Deno.link(part, local(name));
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      if (params.onExisting === "fail") throw new Failure("rejected", `Name "${name}" is taken`);
      continue;
    }
    using directory = await Deno.open(dirname(local(name)));
    await directory.sync();
    return receiptOf(name, params);
  }
  throw new Failure("rejected", `A thousand names beside "${params.path}" are taken`);
}

async function confirm({ params }: Call): Promise<object> {
  for (const name of names(params.path)) {
    const receipt = await landed(name, params);
    if (receipt || receipt === undefined || params.onExisting !== "rename") return { receipt: receipt ?? null };
  }
  return { receipt: null };
}

async function remove({ params: { path, expect } }: Call): Promise<object> {
  try {
    expectSame(path, expect, fingerprint(look(path)));
    await Deno.remove(local(path));
  } catch (error) {
    if (!(error instanceof Failure && error.data["code"] === "not_found") && !isMissing(error)) throw error;
  }
  return {};
}

function check(): object {
  return isDirectory(root)
    ? [{ name: "dir", ok: true, detail: root }]
    : [{ name: "dir", ok: false, detail: `${root} is missing`, code: "unavailable", remedy: `mkdir ${root}` }];
}

const METHODS: Record<string, (call: Call) => object | Promise<object>> = {
  initialize,
  list,
  stat,
  download,
  upload,
  confirm,
  remove,
  check,
  shutdown: () => ({}),
};

function codeOf(error: unknown): Record<string, unknown> {
  const { code } = error as { code?: string };
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EROFS") return { code: "no_space" };
  if (error instanceof Deno.errors.PermissionDenied) return { code: "denied", scope: "file" };
  return { code: code === "EIO" || !isDirectory(root) ? "unavailable" : "failed" };
}

async function answer(call: Call): Promise<void> {
  const method = Object.hasOwn(METHODS, call.method) ? METHODS[call.method] : undefined;
  if (method === undefined) {
    send({ id: call.id, error: { code: -32601, message: "Method is not supported" } });
    return;
  }
  try {
    send({ id: call.id, result: await method(call) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    send({
      id: call.id,
      error: { code: -32000, message, data: error instanceof Failure ? error.data : codeOf(error) },
    });
  }
  cancelled.delete(call.id);
  if (call.method === "shutdown") Deno.exit(0);
}

Deno.addSignalListener("SIGINT", () => {}); // the host decides when we stop
let calls: Promise<void> = Promise.resolve();
let rest = "";
const decoder = new TextDecoder();
for await (const bytes of Deno.stdin.readable) {
  const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const message = JSON.parse(line) as Call;
    if (message.method === "$/cancel") cancelled.add((message.params as unknown as { id: number }).id);
    // One call at once: that is what no callsMax means.
    else if (message.id !== undefined) calls = calls.then(() => answer(message));
  }
}
Deno.exit(0); // FileSync is gone
