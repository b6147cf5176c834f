/** The documents for users say what is so: links lead somewhere, examples are valid, tables are fresh. */
import assert from "node:assert/strict";
import { withoutPadding } from "../cli/build/option_table.ts";
import { DOCUMENTS, freshDocument } from "../cli/build/documents.ts";
import { PROJECT_ROOT, readProjectFile } from "./support/project_files.ts";

const README = readProjectFile("README.md");

for (const name of DOCUMENTS) {
  Deno.test(`${name} has the tables of options that the schemas give`, () => {
    const text = readProjectFile(name);
    assert.equal(
      withoutPadding(text),
      withoutPadding(freshDocument(text)),
      "stale: run deno run -A cli/build/documents.ts and deno fmt README.md docs",
    );
  });

  Deno.test(`${name} links to files that are there`, () => {
    const links = [...readProjectFile(name).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path]) => path ?? "");
    for (const path of links) assert.ok(Deno.statSync(new URL(path, new URL(name, PROJECT_ROOT))).isFile, path);
  });
}

Deno.test("README.md names tasks that are there", () => {
  const { tasks } = JSON.parse(readProjectFile("deno.json")) as { tasks: Record<string, unknown> };
  for (const [, task] of README.matchAll(/\btask ([a-z]+)\b/g)) assert.ok(task !== undefined && task in tasks, task);
});

Deno.test("README.md has examples that config check takes", async () => {
  const examples = [...README.matchAll(/```jsonc\n([\s\S]*?)```/g)].map(([, text]) => text ?? "");
  assert.ok(examples.length >= 2);
  const dir = await Deno.makeTempDir({ prefix: "filesync-readme-" });
  try {
    await Deno.writeTextFile(`${dir}/ftp.passwd`, "secret\n", { mode: 0o600 });
    for (const text of examples) {
      await Deno.writeTextFile(`${dir}/config.json`, text);
      const { code, stderr, stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-prompt", "cli/main.ts", "config", "check", "--config", `${dir}/config.json`],
        cwd: PROJECT_ROOT,
        env: { HANGAR_PASSWD: "secret", NO_COLOR: "1" },
        stdin: "null",
      }).output();
      const decoder = new TextDecoder();
      assert.equal(code, 0, decoder.decode(stderr) + decoder.decode(stdout) + text);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
