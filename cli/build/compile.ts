/**
 * `deno task compile`: the program as one file for a machine without Deno, `dist/filesync-<version>-<arch>`.
 *
 * `deno compile` needs `denort`, Deno's runtime for compiled programs, which it downloads or is given by `$DENORT_BIN`.
 * Where that cannot be had, the same program is made as a self-extracting file from the Deno that npm has.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SOURCE_ROOT } from "../../lib/host/builtin.ts";
import { DRIVER_V8_FLAGS } from "../../lib/host/launch.ts";
import { VERSION } from "../version.ts";
import { bundledFiles, bundleProgram } from "./package/bundle.ts";
import { npmRuntime, RUNTIME_VERSION, type Target, TARGETS } from "./package/runtime.ts";
import { selfExtractor } from "./package/self_extractor.ts";

const USAGE = `Usage: deno task compile [--target TRIPLE] [--runtime denort|npm] [--out DIR]

  --target   ${TARGETS.join(" or ")} [this machine's]
  --runtime  denort: with deno compile, nothing else; npm: a self-extracting file with the Deno that npm has
             [denort, and npm where denort cannot be downloaded]
  --out      Folder for the program [dist]`;

/** How a program was made. */
export interface Made {
  path: string;
  runtime: "denort" | "npm";
  sizeBytes: number;
}

/** What to make. */
export interface Options {
  target: Target;
  /** Without it `denort`, else `npm`. */
  runtime: "denort" | "npm" | undefined;
  /** Folder for the program. */
  out: string;
  /** Folder that keeps what npm fetched. */
  cache: string;
  /** What is done, for the person who waits. */
  say: (words: string) => void;
}

/**
 * Makes the program.
 * @throws {Error} If a part of it cannot be made or fetched
 */
export async function compile({ target, runtime, out, cache, say }: Options): Promise<Made> {
  const arch = target.split("-")[0]!;
  const path = join(out, `filesync-${VERSION}-${arch}`);
  const temporary = `${path}.new`;
  const bundle = await Deno.makeTempDir({ prefix: "filesync-bundle-" });
  try {
    await Deno.mkdir(out, { recursive: true });
    await bundleProgram(bundle);
    let made = runtime ?? "denort";
    if (made === "denort") {
      const failure = await denoCompile(bundle, target, temporary);
      if (failure !== undefined && (runtime === "denort" || !/denort|dl\.deno\.land/.test(failure))) {
        throw new Error(`Cannot compile: ${failure}`);
      }
      if (failure !== undefined) {
        say("denort cannot be downloaded here: making a self-extracting file with the Deno that npm has");
        made = "npm";
      }
    }
    if (made === "npm") await extractor(bundle, target, arch, cache, temporary);
    await Deno.rename(temporary, path);
    return { path, runtime: made, sizeBytes: (await Deno.stat(path)).size };
  } finally {
    await Deno.remove(bundle, { recursive: true });
  }
}

/** What `deno compile` said, if it failed. */
async function denoCompile(bundle: string, target: Target, path: string): Promise<string | undefined> {
  // They hold for the program and for its drivers alike.
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--quiet", "-A", "--no-prompt", "--unstable-net", "--no-config", "--no-lock", "--no-check"]
      .concat(
        [`--v8-flags=${DRIVER_V8_FLAGS}`, "--target", target, "--output", path],
        join(bundle, "cli/main.js"),
      ),
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  return success ? undefined : new TextDecoder().decode(stderr).trim();
}

async function extractor(bundle: string, target: Target, arch: string, cache: string, path: string): Promise<void> {
  // The gate runs on this version, so nothing else is shipped.
  if (Deno.version.deno !== RUNTIME_VERSION) {
    throw new Error(
      `Cannot compile with Deno ${Deno.version.deno}: ${RUNTIME_VERSION} is what the program is tested with`,
    );
  }
  const content = new Map(bundledFiles(bundle).map((name) => [name, Deno.readFileSync(join(bundle, name))]));
  const file = await selfExtractor({
    arch,
    version: VERSION,
    runtime: await npmRuntime(target, cache),
    bundle: content,
  });
  await Deno.writeFile(path, file, { mode: 0o755 });
  // A file that was there already keeps its mode.
  await Deno.chmod(path, 0o755);
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      target: { type: "string", default: Deno.build.target },
      runtime: { type: "string" },
      out: { type: "string", default: new URL("dist", SOURCE_ROOT).pathname },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const target = TARGETS.find((name) => name === values.target);
  const runtime = values.runtime;
  if (target === undefined || (runtime !== undefined && runtime !== "denort" && runtime !== "npm")) {
    console.error(target === undefined ? `Cannot compile for "${values.target}"\n\n${USAGE}` : USAGE);
    return 2;
  }
  const cache = join(values.out, ".runtime");
  const made = await compile({ target, runtime, out: values.out, cache, say: (words) => console.error(words) });
  console.log(`${made.path}: ${(made.sizeBytes / 1e6).toFixed(1)} MB, with ${made.runtime}`);
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
