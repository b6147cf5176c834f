/** What no file of the project may hold: marks of unfinished work, paths of one machine, and too many lines. */
import assert from "node:assert/strict";
import { projectFiles, readProjectFile } from "./support/project_files.ts";

/** Longer files are asked why. */
const LINES_MAX = 500;

/** Files that may be longer, each with the reason. */
const LONG_FILES: Record<string, string> = {
  "deno.lock": "made by a machine",
  "plugins/protocol.schema.json": "made by cli/build/protocol_schema.ts",
  "plugins/examples/http-index/http_index.py": "an example is one file, to be copied",
  "plugins/README.md": "the protocol's normative text is one document",
};

const TEXT = /\.(ts|js|md|sh|json|jsonc|sql|py|css|html|service|rules)$|^\.(ci|githooks)\/|^\.gitignore$|^LICENSE$/;

// In pieces, so that this file passes its own test.
const FORBIDDEN: [what: string, pattern: RegExp][] = [
  ["a mark of unfinished work", new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`)],
  [
    "a path of one machine",
    new RegExp(`(^|[\\s"'\`(=:,])/(${["wo" + "rk", "fa" + "rm", "ro" + "ot", "Us" + "ers"].join("|")})/`),
  ],
  ["a character that turns text around", /[\u202a-\u202e\u2066-\u2069]/],
];

function wrongLines(path: string, text: string): string[] {
  const wrong: string[] = [];
  const lines = text.split("\n");
  for (const [n, line] of lines.entries()) {
    for (const [what, pattern] of FORBIDDEN) {
      if (pattern.test(line)) wrong.push(`${path}:${n + 1} holds ${what}: ${line.trim().slice(0, 100)}`);
    }
  }
  const count = text.endsWith("\n") ? lines.length - 1 : lines.length;
  if (count > LINES_MAX && LONG_FILES[path] === undefined) {
    wrong.push(`${path} has ${count} lines: split it, or name the reason in LONG_FILES`);
  }
  return wrong;
}

Deno.test("No file holds unfinished marks, paths of one machine or too many lines", () => {
  const files = projectFiles().filter((path) => TEXT.test(path) && !path.startsWith("tests/fixtures/"));
  assert.ok(files.length > 20, `only ${files.length} files were found`);
  assert.deepEqual(files.flatMap((path) => wrongLines(path, readProjectFile(path))), []);
});

Deno.test("The tidy check sees what it is for", () => {
  assert.equal(wrongLines("a.ts", "// TO" + "DO: later\n").length, 1);
  assert.equal(wrongLines("a.ts", 'const dir = "/wo' + 'rk/main";\n').length, 1);
  assert.equal(wrongLines("a.ts", "const a = '\u202e';\n").length, 1);
  assert.equal(wrongLines("a.ts", "\n".repeat(501)).length, 1);
  assert.deepEqual(wrongLines("a.ts", 'import { a } from "./work/a.ts";\n'), []);
});
