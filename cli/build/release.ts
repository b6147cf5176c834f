/**
 * `deno task release`: what is given to users, in one folder: the program for each architecture, the script that installs
 * it, the list of what is inside, and checksums. The same commit gives the same bytes.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SOURCE_ROOT } from "../../lib/host/builtin.ts";
import { VERSION } from "../version.ts";
import { compile, type Made } from "./compile.ts";
import { billOfMaterials, notices, partsOfProgram } from "./package/bill.ts";
import { TARGETS } from "./package/runtime.ts";
import { installScript } from "./package/script.ts";

const USAGE = `Usage: deno task release [--runtime denort|npm] [--out DIR]

  --runtime  As deno task compile has it
  --out      Folder for the release [dist]`;

/** What to make. */
export interface ReleaseOptions {
  runtime?: "denort" | "npm";
  /** Folder for the release. */
  out: string;
  /** Folder that keeps what npm fetched. */
  cache: string;
  /** What is done, for the person who waits. */
  say: (words: string) => void;
}

/**
 * Makes the release.
 * @returns The names of its files, the checksums last
 * @throws {Error} If a part of it cannot be made or fetched
 */
export async function release({ runtime, out, cache, say }: ReleaseOptions): Promise<string[]> {
  const made: Made[] = [];
  for (const target of TARGETS) {
    // What the first could be made with the others are made with, so that a release is of one kind.
    made.push(await compile({ target, runtime: made[0]?.runtime ?? runtime, out, cache, say }));
    say(`${made.at(-1)!.path}: ${(made.at(-1)!.sizeBytes / 1e6).toFixed(1)} MB`);
  }
  const parts = await partsOfProgram();
  const names = made.map(({ path }) => path.slice(out.length + 1));
  const write = async (name: string, text: string) => {
    await Deno.writeTextFile(join(out, name), text);
    names.push(name);
  };
  await write("install.sh", installScript(VERSION));
  await write(`filesync-${VERSION}.cdx.json`, billOfMaterials(VERSION, parts, made[0]!.runtime));
  await write(`filesync-${VERSION}.licenses.txt`, notices(parts));
  const sums = names.map((name) => `${sha256(join(out, name))}  ${name}\n`);
  await write("SHA256SUMS", sums.join(""));
  return names;
}

function sha256(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      runtime: { type: "string" },
      out: { type: "string", default: new URL("dist", SOURCE_ROOT).pathname },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { out, runtime } = values;
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (runtime !== undefined && runtime !== "denort" && runtime !== "npm") {
    console.error(USAGE);
    return 2;
  }
  const names = await release({
    ...(runtime === undefined ? {} : { runtime }),
    out,
    cache: join(out, ".runtime"),
    say: (words) => console.error(words),
  });
  for (const name of names) console.log(join(out, name));
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
