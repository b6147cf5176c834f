/** What is inside of a program: its packages and its runtime, with versions, hashes and licences (CycloneDX 1.6). */
import { join } from "node:path";
import { SOURCE_ROOT } from "../../../lib/host/builtin.ts";
import pins from "./runtimes.json" with { type: "json" };

/** A package that is in the program. */
export interface Part {
  name: string;
  version: string;
  /** An SPDX expression. */
  license: string;
  /** Hash of the package's archive, as npm writes it: `sha512-<base64>`. */
  integrity: string;
  /** The licence's text, where the package has it. */
  text: string | undefined;
}

interface Graph {
  modules: { kind: string; npmPackage?: string }[];
  npmPackages: Record<string, { name: string; version: string; dependencies: string[]; localPath: string }>;
}

/**
 * The packages that the program's modules import, and what those import, by name.
 * @throws {Error} If the graph cannot be had, or a package tells no licence
 */
export async function partsOfProgram(): Promise<Part[]> {
  const graph = await moduleGraph();
  const inside = new Set<string>();
  const visit = (id: string): void => {
    if (inside.has(id)) return;
    inside.add(id);
    graph.npmPackages[id]?.dependencies.forEach(visit);
  };
  for (const { kind, npmPackage } of graph.modules) if (kind === "npm" && npmPackage !== undefined) visit(npmPackage);
  const lock = JSON.parse(Deno.readTextFileSync(new URL("deno.lock", SOURCE_ROOT))) as {
    npm: Record<string, { integrity?: string }>;
  };
  const parts = [...inside].map((id) => {
    const { name, version, localPath } = graph.npmPackages[id]!;
    const { license } = JSON.parse(Deno.readTextFileSync(join(localPath, "package.json"))) as { license?: unknown };
    const { integrity } = lock.npm[id] ?? {};
    if (typeof license !== "string" || integrity === undefined) throw new Error(`Cannot tell the licence of ${id}`);
    return { name, version, license, integrity, text: licenseText(localPath) };
  });
  return parts.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function moduleGraph(): Promise<Graph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "cli/main.ts"],
    cwd: SOURCE_ROOT,
    stdin: "null",
  }).output();
  const words = new TextDecoder();
  if (!success) throw new Error(`Cannot list the program's modules: ${words.decode(stderr).trim()}`);
  return JSON.parse(words.decode(stdout));
}

function licenseText(folder: string): string | undefined {
  const file = [...Deno.readDirSync(folder)].map(({ name }) => name).sort().find((name) => /^licen[cs]e/i.test(name));
  return file === undefined ? undefined : Deno.readTextFileSync(join(folder, file)).trim();
}

/** The bill of a release, as text: the same program gives the same text, so it has no date and no number of its own. */
export function billOfMaterials(version: string, parts: readonly Part[], runtime: "denort" | "npm"): string {
  const program = `pkg:generic/filesync@${version}`;
  const runtimes = runtime === "npm"
    ? Object.values(pins.targets).map(({ package: name, integrity }) => library(name, pins.version, integrity, "MIT"))
    : [{
      type: "platform",
      "bom-ref": `pkg:generic/denort@${pins.version}`,
      name: "denort",
      version: pins.version,
      licenses: [{ license: { id: "MIT" } }],
    }];
  const components = [
    ...parts.map(({ name, version, integrity, license }) => library(name, version, integrity, license)),
    ...runtimes.map((one) => ({
      ...one,
      type: "platform",
      description: "Deno, one for each architecture; brings V8, SQLite, rustls and what else its source names",
      externalReferences: [{ type: "vcs", url: `https://github.com/denoland/deno/tree/v${pins.version}` }],
    })),
  ];
  const bill = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": program,
        name: "filesync",
        version,
        licenses: [{ license: { id: "Apache-2.0" } }],
      },
    },
    components,
    dependencies: [{ ref: program, dependsOn: components.map((component) => component["bom-ref"]) }],
  };
  return JSON.stringify(bill, undefined, 2) + "\n";
}

function library(fullName: string, version: string, integrity: string, license: string) {
  const [name = "", group] = fullName.split("/").reverse();
  const reference = `pkg:npm/${fullName.replace("@", "%40")}@${version}`;
  return {
    type: "library",
    "bom-ref": reference,
    ...(group === undefined ? {} : { group }),
    name,
    version,
    hashes: [{ alg: "SHA-512", content: Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex") }],
    licenses: [/[ ()]/.test(license) ? { expression: license } : { license: { id: license } }],
    purl: reference,
  };
}

/** The notices that the packages' licences ask for. */
export function notices(parts: readonly Part[]): string {
  const rule = "-".repeat(80);
  const runtime = `Deno ${pins.version}, MIT, Copyright 2018-2026 the Deno authors
https://github.com/denoland/deno/blob/v${pins.version}/LICENSE.md`;
  const texts = parts.map(({ name, version, license, text }) =>
    `${name} ${version}, ${license}\n\n${text ?? `https://spdx.org/licenses/${license}.html`}`
  );
  return [`FileSync contains:`, runtime, ...texts].join(`\n\n${rule}\n\n`) + "\n";
}
