/**
 * The Deno that a self-extracting program carries: the build that npm has, of the version of this project, proven by
 * the hash that `runtimes.json` pins. Needs `npm`, and a registry the first time.
 */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import pins from "./runtimes.json" with { type: "json" };

/** A Rust target triple that a program can be made for. */
export type Target = keyof typeof pins.targets;

/** The version of Deno inside. */
export const RUNTIME_VERSION: string = pins.version;

/** All that a program can be made for. */
export const TARGETS = Object.keys(pins.targets) as Target[];

/**
 * The executable of Deno for `target`.
 * @param cache folder that keeps what was fetched
 * @throws {Error} If npm cannot fetch it, or it is another than the one that is pinned
 */
export async function npmRuntime(target: Target, cache: string): Promise<Uint8Array> {
  const { package: name, integrity } = pins.targets[target];
  const kept = `${cache}/${name.replace(/^@/, "").replace("/", "-")}-${RUNTIME_VERSION}.tgz`;
  let archive = readIfThere(kept);
  if (archive === undefined || sha512(archive) !== integrity) {
    await Deno.mkdir(cache, { recursive: true });
    archive = await pack(`${name}@${RUNTIME_VERSION}`, cache, kept);
    if (sha512(archive) !== integrity) {
      await Deno.remove(kept);
      throw new Error(`Cannot use ${name}@${RUNTIME_VERSION}: its hash is ${sha512(archive)}, pinned is ${integrity}`);
    }
  }
  return await member(archive, "package/deno");
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function pack(spec: string, folder: string, kept: string): Promise<Uint8Array> {
  let output;
  try {
    output = await new Deno.Command("npm", {
      args: ["pack", "--silent", "--pack-destination", folder, spec],
      stdin: "null",
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`Cannot fetch ${spec}: npm is not on PATH`);
  }
  const words = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!output.success) throw new Error(`Cannot fetch ${spec} with npm: ${words(output.stderr)}`);
  const made = `${folder}/${words(output.stdout).split("\n").at(-1)}`;
  if (made !== kept) await Deno.rename(made, kept);
  return await Deno.readFile(kept);
}

function sha512(bytes: Uint8Array): string {
  return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
}

async function member(archive: Uint8Array, name: string): Promise<Uint8Array> {
  const reader = extract();
  reader.end(gunzipSync(archive));
  for await (const entry of reader) {
    const parts: Uint8Array[] = [];
    for await (const part of entry) if (entry.header.name === name) parts.push(part as Uint8Array);
    if (entry.header.name === name) return new Uint8Array(Buffer.concat(parts));
  }
  throw new Error(`There is no ${name} in the archive`);
}
