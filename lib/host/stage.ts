/**
 * Brings a plugin's folder or archive into an empty folder of ours, file by file: no link, no device, nothing outside,
 * nothing without bound, nothing that others could write to. Whoever made the archive is a stranger.
 */
import { createReadStream } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";
import { pathProblem } from "../driver/mod.ts";

/** What a plugin may bring. */
export interface StageLimits {
  /** Most bytes, unpacked. */
  bytesMax: number;
  /** Most files and folders. */
  namesMax: number;
}

const LIMITS: StageLimits = { bytesMax: 256 * 1024 * 1024, namesMax: 10_000 };
/** Folders that hold the history and the rubbish of those who wrote it. */
const LEFT_OUT = new Set([".git", "__pycache__"]);

/** Why a folder or an archive cannot be taken. */
export class StageError extends Error {
  override readonly name = "StageError";
}

/**
 * Copies what `source` holds into `stage`, which is empty.
 * @param source a folder, or a tar archive, plain or gzipped
 * @throws {StageError} If it holds what a plugin cannot, or too much
 */
export async function stagePlugin(source: string, stage: string, limits: StageLimits = LIMITS): Promise<void> {
  const taker = new Taker(stage, limits);
  if (Deno.statSync(source).isDirectory) return await copyFolder(source, "", taker);
  try {
    await unpack(source, taker);
  } catch (error) {
    if (error instanceof StageError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new StageError(`Cannot unpack "${source}": ${why}: expected a tar archive, plain or gzipped`, {
      cause: error,
    });
  }
  if (taker.names === 0) throw new StageError(`Cannot unpack "${source}": expected a tar archive, plain or gzipped`);
}

/** Writes into the stage, and counts. */
class Taker {
  readonly #stage: string;
  readonly #limits: StageLimits;
  #bytes = 0;
  names = 0;

  constructor(stage: string, limits: StageLimits) {
    this.#stage = stage;
    this.#limits = limits;
  }

  folder(path: string): void {
    this.#admit(path);
    Deno.mkdirSync(join(this.#stage, path), { recursive: true, mode: 0o755 });
  }

  /** The file at `path`, to be written in pieces; closed by the caller. */
  file(path: string, mode: number): Deno.FsFile {
    this.#admit(path);
    const place = join(this.#stage, path);
    Deno.mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
    const file = Deno.openSync(place, { write: true, createNew: true });
    // Whatever the archive and our umask say.
    Deno.chmodSync(place, (mode & 0o100) === 0 ? 0o644 : 0o755);
    return file;
  }

  async write(file: Deno.FsFile, piece: Uint8Array): Promise<void> {
    this.#bytes += piece.length;
    const { bytesMax } = this.#limits;
    if (this.#bytes > bytesMax) throw new StageError(`Plugin holds more than ${bytesMax / 2 ** 20} MiB`);
    for (let at = 0; at < piece.length;) at += await file.write(piece.subarray(at));
  }

  #admit(path: string): void {
    const problem = path === "" ? "name is empty" : pathProblem(path);
    if (problem !== undefined) throw new StageError(`Plugin holds ${JSON.stringify(path)}: ${problem}`);
    const { namesMax } = this.#limits;
    if (++this.names > namesMax) throw new StageError(`Plugin holds more than ${namesMax} files`);
  }
}

async function copyFolder(from: string, below: string, taker: Taker): Promise<void> {
  for (const { name, isDirectory, isFile } of [...Deno.readDirSync(join(from, below))]) {
    if (LEFT_OUT.has(name)) continue;
    const path = below === "" ? name : `${below}/${name}`;
    if (isDirectory) {
      taker.folder(path);
      await copyFolder(from, path, taker);
    } else if (isFile) {
      using source = Deno.openSync(join(from, path));
      using target = taker.file(path, source.statSync().mode ?? 0o644);
      for await (const piece of source.readable) await taker.write(target, piece);
    } else throw new StageError(`Plugin holds "${path}", which is neither a file nor a folder`);
  }
}

async function unpack(archive: string, taker: Taker): Promise<void> {
  const reader = extract();
  const bytes = createReadStream(archive);
  const reading = isGzip(archive)
    ? pipeline(bytes, createGunzip(), reader)
    : pipeline(bytes, reader as unknown as Writable);
  // What ends the loop below ends it too, and is told there.
  reading.catch(() => {});
  try {
    for await (const entry of reader) {
      const { name, type, mode } = entry.header;
      // "./" and what ends in "/" is how tar writes folders.
      const path = name.replace(/^(\.\/+)+/, "").replace(/\/+$/, "");
      const isLeftOut = path === "" || path === "." || path.split("/").some((part) => LEFT_OUT.has(part));
      if (isLeftOut) entry.resume();
      else if (type === "directory") {
        taker.folder(path);
        entry.resume();
      } else if (type === "file" || type === "contiguous-file") {
        using file = taker.file(path, mode ?? 0o644);
        for await (const piece of entry) await taker.write(file, piece as Uint8Array);
      } else throw new StageError(`Plugin holds "${path}", a ${type}: only files and folders are taken`);
    }
    await reading;
  } finally {
    reader.destroy();
    bytes.destroy();
  }
}

function isGzip(file: string): boolean {
  const magic = new Uint8Array(2);
  using opened = Deno.openSync(file);
  opened.readSync(magic);
  return magic[0] === 0x1f && magic[1] === 0x8b;
}

/** The folder of `stage` that holds the manifest: itself, or its only folder, as archives of releases have it. */
export function pluginRoot(stage: string, manifestName: string): string {
  const names = [...Deno.readDirSync(stage)];
  if (names.some(({ name }) => name === manifestName)) return stage;
  const [only, ...others] = names;
  if (only?.isDirectory && others.length === 0) return join(stage, basename(only.name));
  return stage;
}
