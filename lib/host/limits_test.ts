import assert from "node:assert/strict";
import { DEFAULT_LIMITS, limitsWrapper, memoryBytesOf } from "./limits.ts";

/** What a shell under `limits` says of its own. */
async function toldUnder(limits: Partial<typeof DEFAULT_LIMITS>, isV8: boolean, script: string): Promise<string> {
  const [command = "", ...args] = [...limitsWrapper({ ...DEFAULT_LIMITS, ...limits }, isV8), "sh", "-c", script, "sh"];
  const { stdout, code } = await new Deno.Command(command, { args: [...args, "$(reboot); a b"], stdin: "null" })
    .output();
  assert.equal(code, 0);
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("limitsWrapper() lowers the limits of a process and hands on its words as they are", async () => {
  const limits = { openFiles: 77, memoryBytes: 64 * 1024 * 1024, nice: 7 };
  const told = await toldUnder(limits, false, 'ulimit -n; ulimit -d; ulimit -c; echo "$1"');
  assert.equal(told, "77\n65536\n0\n$(reboot); a b");
  assert.equal(await toldUnder(limits, true, "ulimit -n; ulimit -d"), `77\n${await toldUnder({}, true, "ulimit -d")}`);
});

Deno.test("limitsWrapper() makes a process yield, and the first to go when memory runs out", async () => {
  const own = Number(await toldUnder({ nice: 0 }, false, "nice"));
  assert.equal(Number(await toldUnder({ nice: 3 }, false, "nice")), Math.min(19, own + 3));
  assert.ok(Number(await toldUnder({}, false, "cat /proc/self/oom_score_adj")) >= 500);
});

Deno.test("limitsWrapper() leaves a limit that is lower already", async () => {
  const [command = "", ...args] = limitsWrapper({ ...DEFAULT_LIMITS, nice: 0 }, false);
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", 'ulimit -n 50; exec "$@"', "sh", command, ...args, "sh", "-c", "ulimit -n"],
  }).output();
  assert.equal(new TextDecoder().decode(stdout).trim(), "50");
});

Deno.test("memoryBytesOf() counts what a process and its children take", async () => {
  // Each holds a few hundred kilobytes; the outer shell waits for the inner ones.
  const script = "sleep 1000 & first=$!; sleep 1000 & echo up; read word; kill $first $!; wait";
  const child = new Deno.Command("sh", { args: ["-c", script], stdin: "piped", stdout: "piped" }).spawn();
  try {
    const reader = child.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    const alone = /RssAnon:\s*(\d+)/.exec(Deno.readTextFileSync(`/proc/${child.pid}/status`))![1];
    assert.ok(memoryBytesOf(child.pid) > Number(alone) * 1024);
  } finally {
    await child.stdin.close();
    await child.stdout.cancel();
    await child.status;
  }
  assert.equal(memoryBytesOf(child.pid), 0, "a process that is gone has none");
});
