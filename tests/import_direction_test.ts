/**
 * Who may import whom. A table of arrows, and every file checked against it: the architecture cannot rot silently.
 * `A: ["B"]` reads "files of A may import files of B"; `type B` allows what is erased when the program runs.
 */
import assert from "node:assert/strict";
import { importsOf, projectFiles, readProjectFile } from "./support/project_files.ts";

/** Stations meet in the state store and in the spool, never in each other. */
const STATION = ["lib/spool", "lib/state", "lib/driver", "lib/observe", "type lib/config"];
/** What stands alone tells what happens and speaks of devices, and needs nobody. */
const ALONE = ["lib/observe", "lib/driver"];

const ARROWS: Record<string, readonly string[]> = {
  "cli": ["lib", "plugins"],
  "lib/engine": [
    "lib/host",
    "lib/finder",
    "lib/download",
    "lib/upload",
    "lib/remove",
    "lib/spool",
    "lib/state",
    "lib/driver",
    "lib/config",
    "lib/observe",
  ],
  "lib/finder": STATION,
  "lib/download": STATION,
  "lib/upload": STATION,
  "lib/remove": STATION,
  "lib/spool": ["lib/driver", "type lib/observe"],
  "lib/state": ["lib/driver", "type lib/observe"],
  "lib/host": ["lib/protocol", "lib/driver", "type lib/observe"],
  // The suite is a part of the program, for "plugins test": a host that tries one driver, without an engine.
  "lib/conformance": ["lib/host", "lib/protocol", "lib/driver"],
  "lib/protocol": ["lib/driver"],
  "lib/driver": [],
  "lib/config": ["type lib/driver"],
  "lib/observe": ["type lib/driver"],
  "lib/http": ALONE,
  "lib/ftpd": ALONE,
  "lib/service": ALONE,
  // A driver has what a stranger's driver has: the contract, and the one function that serves it.
  "plugins": ["lib/protocol/serve.ts", "lib/driver"],
  // A drive is a directory that comes and goes: what is done with files is done once.
  "plugins/disk": ["lib/protocol/serve.ts", "lib/driver", "plugins/local"],
  // What speaks HTTP shares one exchange, which tells the truth about what may have arrived.
  "plugins/webdav": ["lib/protocol/serve.ts", "lib/driver", "plugins/http"],
  "plugins/post": ["lib/protocol/serve.ts", "lib/driver", "plugins/http"],
};

/** Unit tests may use what tests share. */
const FOR_TESTS = ["tests/support", "tests/conformance"];

/** The host knows the drivers that are built in by their manifests, which are data. */
const MANIFEST = /^plugins\/[^/]+\/filesync-plugin\.json$/;

/** What is wrong with the imports of one file. */
function wrongImports(path: string, source: string, packages: ReadonlySet<string>): string[] {
  const wrong: string[] = [];
  for (const { specifier, typeOnly } of importsOf(source)) {
    const say = (why: string) => wrong.push(`${path}: "${specifier}" ${why}`);
    if (/^(npm|jsr|https?|file|data):/.test(specifier)) say("must come through the imports of deno.json, from npm");
    else if (specifier.startsWith("node:")) continue;
    else if (!specifier.startsWith(".")) {
      const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
      if (!packages.has(specifier) && !packages.has(name)) say("is not in the imports of deno.json");
      else if (path.startsWith("lib/driver/")) say("is a package, and the driver contract imports nothing");
    } else {
      const target = resolve(path, specifier);
      const [from, to] = [unitOf(path), unitOf(target)];
      if (target.startsWith("..")) say("leaves the project");
      else if (/\/_[^/]*$/.test(target) && directoryOf(target) !== directoryOf(path)) say("is private to its folder");
      else if (from === to || from === undefined || target === "deno.json") continue;
      else if (!allowed(from, target, { typeOnly, isTest: isTest(path) })) {
        say(`is a wrong arrow: ${from} may import ${arrowsOf(from).join(", ") || "nothing"}`);
      }
    }
  }
  return wrong;
}

function arrowsOf(unit: string): readonly string[] {
  return ARROWS[unit] ?? (unit.startsWith("plugins/") ? ARROWS["plugins"]! : []);
}

function allowed(from: string, target: string, file: { typeOnly: boolean; isTest: boolean }): boolean {
  if (from === "lib/host" && MANIFEST.test(target)) return true;
  return [...arrowsOf(from), ...(file.isTest ? FOR_TESTS : [])].some((arrow) => {
    const path = arrow.replace(/^type /, "");
    // A test checks, so what is allowed as a type is allowed to it in full.
    if (arrow !== path && !file.typeOnly && !file.isTest) return false;
    return target === path || target.startsWith(`${path}/`);
  });
}

/** The folder that an arrow speaks of; `undefined` for what may import anything. */
function unitOf(path: string): string | undefined {
  if (path.startsWith("cli/")) return "cli";
  return /^(?:lib|plugins)\/[^/]+(?=\/)/.exec(path)?.[0];
}

function isTest(path: string): boolean {
  return path.endsWith("_test.ts") || /\/_[^/]*$/.test(path);
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function resolve(from: string, specifier: string): string {
  const parts = directoryOf(from).split("/");
  for (const part of specifier.split("/")) {
    if (part === "..") {
      if (parts.length === 0 || parts.at(-1) === "..") parts.push("..");
      else parts.pop();
    } else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function declaredPackages(): Set<string> {
  const { imports } = JSON.parse(readProjectFile("deno.json")) as { imports: Record<string, string> };
  return new Set(Object.keys(imports));
}

Deno.test("Every import follows the arrows of the design", () => {
  const packages = declaredPackages();
  const files = projectFiles().filter((path) => /^(cli|lib|plugins|tests)\/.*\.ts$/.test(path));
  assert.ok(files.length > 20, `only ${files.length} files were found`);
  const wrong = files.flatMap((path) => wrongImports(path, readProjectFile(path), packages));
  assert.deepEqual(wrong, []);
});

Deno.test("Every folder of lib has its arrows", () => {
  const folders = new Set(
    projectFiles("lib").filter((path) => path.endsWith(".ts")).map((path) => unitOf(path) ?? path),
  );
  assert.deepEqual([...folders].filter((folder) => ARROWS[folder] === undefined), []);
});

Deno.test("Packages are pinned exactly and come from npm", () => {
  const { imports } = JSON.parse(readProjectFile("deno.json")) as { imports: Record<string, string> };
  for (const [name, specifier] of Object.entries(imports)) {
    assert.match(specifier, /^npm:(@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+(-[\w.]+)?$/, `${name} in deno.json`);
  }
  assert.doesNotMatch(readProjectFile("deno.lock"), new RegExp(`"(jsr|https?):`));
});

Deno.test("The check of imports sees a wrong arrow in every form that an import has", () => {
  const packages = new Set(["zod"]);
  const bad: [path: string, source: string][] = [
    ["lib/finder/a.ts", 'import { b } from "../upload/b.ts";'],
    ["lib/finder/a.ts", 'import type { B } from "../upload/b.ts";'],
    ["lib/finder/a.ts", 'import { type B, b } from "../config/types.ts";'],
    ["lib/finder/a.ts", 'import * as config from "../config/types.ts";'],
    ["lib/driver/a.ts", 'export * from "../protocol/messages.ts";'],
    ["lib/driver/a.ts", 'export {\n  one,\n  two,\n} from "../protocol/messages.ts";'],
    ["lib/driver/a.ts", 'import { z } from "zod";'],
    ["lib/state/a.ts", 'const x = await import("../engine/mod.ts");'],
    ["lib/state/a.ts", 'import "../engine/mod.ts";'],
    ["lib/host/a.ts", 'import { x } from "../config/mod.ts";'],
    ["plugins/ftp/a.ts", 'import { x } from "../../lib/protocol/framing.ts";'],
    ["plugins/ftp/a.ts", 'import { x } from "../local/walk.ts";'],
    ["plugins/local/a.ts", 'import { x } from "../disk/station.ts";'],
    ["lib/ftpd/a.ts", 'import { x } from "../protocol/framing.ts";'],
    ["lib/host/a.ts", 'import { x } from "../../plugins/ftp/main.ts";'],
    ["lib/engine/a.ts", 'import m from "../../plugins/ftp/filesync-plugin.json" with { type: "json" };'],
    ["lib/engine/a.ts", 'import { x } from "../host/_private.ts";'],
    ["lib/engine/a.ts", 'import { x } from "../../cli/main.ts";'],
    ["lib/engine/a.ts", 'import { x } from "../../../elsewhere.ts";'],
    ["cli/a.ts", 'import { x } from "npm:zod@4";'],
    ["cli/a.ts", 'import { x } from "jsr:@std/fs";'],
    ["cli/a.ts", 'import { x } from "chalk";'],
  ];
  for (const [path, source] of bad) assert.equal(wrongImports(path, source, packages).length, 1, `${path}: ${source}`);
});

Deno.test("The check of imports lets right arrows, comments and types pass", () => {
  const packages = new Set(["zod", "@scope/a"]);
  const good: [path: string, source: string][] = [
    ["lib/finder/a.ts", 'import type { Config } from "../config/types.ts";'],
    ["lib/finder/a.ts", 'import { type Config, type Other } from "../config/types.ts";'],
    ["lib/finder/a.ts", '// import { b } from "../upload/b.ts";\n/*\nimport { b } from "../upload/b.ts";\n*/'],
    ["lib/finder/a_test.ts", 'import { x } from "../../tests/support/needs.ts";'],
    ["lib/host/a.ts", 'import m from "../../plugins/ftp/filesync-plugin.json" with { type: "json" };'],
    ["plugins/disk/a.ts", 'import { x } from "../local/files.ts";'],
    ["plugins/ftp/driver_test.ts", 'import { conformance } from "../../tests/conformance/suite.ts";'],
    ["lib/engine/a.ts", 'import { x } from "./_private.ts";\nimport { f } from "node:fs";'],
    ["lib/config/a.ts", 'import { z } from "zod/v4";\nimport { a } from "@scope/a/deep";'],
    ["plugins/ftp/a.ts", 'import { serve } from "../../lib/protocol/serve.ts";\nimport { x } from "./b.ts";'],
    ["cli/commands/a.ts", 'import { x } from "../../lib/engine/mod.ts";\nimport j from "../../deno.json" with {};'],
    ["tests/integration/a_test.ts", 'import { x } from "../../lib/ftpd/mod.ts";'],
  ];
  for (const [path, source] of good) assert.deepEqual(wrongImports(path, source, packages), []);
});

Deno.test("No files import one another in a circle, but for types", () => {
  const files = projectFiles().filter((path) => /^(cli|lib|plugins)\/.*\.ts$/.test(path) && !isTest(path));
  const imports = new Map(files.map((path) => [
    path,
    importsOf(readProjectFile(path))
      .filter(({ specifier, typeOnly, isLazy }) => specifier.startsWith(".") && !typeOnly && !isLazy)
      .map(({ specifier }) => resolve(path, specifier)),
  ]));
  /** Files from which no way leads back to one that is being looked at. */
  const sound = new Set<string>();
  const circles: string[] = [];
  const look = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" -> "));
    if (sound.has(path) || way.includes(path)) return;
    for (const next of imports.get(path) ?? []) look(next, [...way, path]);
    sound.add(path);
  };
  for (const path of files) look(path, []);
  assert.deepEqual(circles, []);
});
