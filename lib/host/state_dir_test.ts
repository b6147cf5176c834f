import assert from "node:assert/strict";
import { STATE_BYTES_MAX, STATE_NAMES_MAX, stateDirProblem, trimStateDir } from "./state_dir.ts";

async function inDir(work: (dir: string) => void): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-state-dir-" });
  try {
    work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("trimStateDir() leaves a folder within its limits alone, also one that is not there", async () => {
  await inDir((dir) => {
    Deno.mkdirSync(`${dir}/a/b`, { recursive: true });
    Deno.writeTextFileSync(`${dir}/a/b/kept`, "x");
    const sparse = Deno.openSync(`${dir}/holes`, { create: true, write: true });
    sparse.truncateSync(STATE_BYTES_MAX * 2);
    sparse.close();
    const said: string[] = [];
    trimStateDir(dir, (message) => said.push(message));
    trimStateDir(`${dir}/missing`, (message) => said.push(message));
    assert.deepEqual(said, []);
    assert.equal(Deno.readTextFileSync(`${dir}/a/b/kept`), "x");
  });
});

Deno.test("trimStateDir() empties a folder of too many bytes, and follows no link", async () => {
  await inDir((dir) => {
    Deno.mkdirSync(`${dir}/state/deep`, { recursive: true });
    Deno.writeTextFileSync(`${dir}/outside`, "precious");
    Deno.symlinkSync(`${dir}/outside`, `${dir}/state/link`);
    Deno.writeFileSync(`${dir}/state/deep/big`, new Uint8Array(STATE_BYTES_MAX + 4096).fill(1));
    const said: string[] = [];
    trimStateDir(`${dir}/state`, (message) => said.push(message));
    assert.match(said[0] ?? "", /^keeps 65 MiB in its stateDir ".*": at most 64 MiB: it is emptied$/);
    assert.deepEqual([...Deno.readDirSync(`${dir}/state`)], []);
    assert.equal(Deno.readTextFileSync(`${dir}/outside`), "precious");
  });
});

Deno.test("stateDirProblem() does not count names without an end", async () => {
  await inDir((dir) => {
    for (let n = 0; n <= STATE_NAMES_MAX; n++) Deno.writeTextFileSync(`${dir}/${n}`, "");
    assert.match(stateDirProblem(dir) ?? "", /^keeps over 10000 files/);
  });
});
