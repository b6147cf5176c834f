/** The Tab key: in real shells, with the program as their command `filesync`. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir } from "./support.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

const CONFIG = JSON.stringify({
  jobs: ["camera", "cargo"].map((name) => ({
    name,
    source: { driver: "local", args: { dir: `./${name}` } },
    targets: ["nas", "night"].map((target) => ({
      name: target,
      driver: "local",
      args: { dir: `./${target}/${name}` },
    })),
  })),
});

/** What a script says that has the program on its PATH, and its completions in `script`. */
async function inShell(shell: "bash" | "zsh" | "fish", dir: string, text: string): Promise<string> {
  Deno.writeTextFileSync(join(dir, "config.json"), CONFIG);
  const script = await filesync(dir, ["completions", shell]);
  assert.equal(script.code, 0, script.stderr);
  Deno.writeTextFileSync(join(dir, "script"), script.stdout);
  Deno.writeTextFileSync(
    join(dir, "filesync"),
    `#!/bin/sh\nexec '${Deno.execPath()}' run -A --no-prompt --quiet '${MAIN}' "$@"\n`,
    { mode: 0o755 },
  );
  const { stdout, stderr } = await new Deno.Command(shell, {
    args: ["-c", text],
    cwd: dir,
    env: { PATH: `${dir}:${Deno.env.get("PATH")}` },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

const BASH = `source ./script
tab() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _filesync; printf '%s;' "\${COMPREPLY[@]}"; echo; }
`;

Deno.test("completions: bash completes commands, options, and names of the configuration", async () => {
  await inTempDir(async (dir) => {
    const said = await inShell(
      "bash",
      dir,
      `${BASH}tab filesync sta; tab filesync sync --on; tab filesync sync --job ca; tab filesync plugins info loc
      tab filesync retry --job x --target n; tab filesync sync --config nowhere.json --job c; tab filesync "it's"`,
    );
    assert.equal(said, "status;\n--once;\ncamera;cargo;\nlocal;\nnas;night;\n;\n;\n");
  });
});

testNeeding("fish", "completions: fish completes with what each word means", async () => {
  await inTempDir(async (dir) => {
    const said = await inShell(
      "fish",
      dir,
      `source ./script; complete -C "filesync sync --job ca"; complete -C "filesync serv"`,
    );
    assert.match(said, /^camera\tRun only job NAME/m);
    assert.match(said, /^service\tHave systemd run the program$/m);
  });
});

testNeeding("zsh", "completions: zsh takes the script", async () => {
  await inTempDir(async (dir) => {
    assert.equal(
      await inShell("zsh", dir, "autoload -U compinit && compinit -D && source ./script && whence -w _filesync"),
      "_filesync: function\n",
    );
  });
});
