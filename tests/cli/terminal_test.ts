/** What a terminal gets: the live lines of `sync`, drawn by the real program in a pseudo-terminal. */
import assert from "node:assert/strict";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, localJob, Running } from "./support.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

/** Runs `filesync args` in a terminal with 20 rows and returns everything that was written to it. */
async function inTerminal(
  dir: string,
  args: string,
  env: Record<string, string> = {},
  columns = 60,
): Promise<string> {
  const command = `stty cols ${columns} rows 20; "${Deno.execPath()}" run -A --no-prompt --quiet "${MAIN}" ${args}`;
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", command, "/dev/null"],
    cwd: dir,
    env: { TERM: "xterm-256color", LC_ALL: "C.UTF-8", NO_COLOR: "", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return new TextDecoder().decode(stdout);
}

const WRAP_OFF = "\x1b[?7l";

testNeeding("script", "sync draws live lines on a terminal, in place, and leaves a clean screen", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { limits: { download: "200KiB/s" } });
    const name = `${"long name 日本 ".repeat(6)}.bin`;
    await Deno.writeFile(`${dir}/in/${name}`, new Uint8Array(800_000));
    const startedMs = performance.now();
    const text = await inTerminal(dir, "sync --once");
    const seconds = (performance.now() - startedMs) / 1000;
    const frames = text.split(WRAP_OFF).slice(1).map((part) => part.slice(0, part.indexOf("\x1b[?7h")));
    assert.match(frames.join(""), /↓ long name … 日本 \.bin {2,}\d+\/781 KiB {2,}\d+ KiB\/s {2,}0:0\d/);
    assert.match(frames.join(""), /1 found · /);
    // Log lines come between frames, so there may be a few more than eight a second.
    assert.ok(frames.length > 4 && frames.length < seconds * 8 + 8, `${frames.length} frames in ${seconds} s`);
    assert.equal(frames.at(-1), "\x1b[J", "the last frame takes the live lines away");
    assert.match(text, /1 file delivered \(781 KiB\) in \S+ s\r\n$/);
    assert.ok(!text.includes("\x1b[?25"), "the cursor is never hidden");
  });
});

for (const columns of [60, 40]) {
  testNeeding(
    "script",
    `what is told breaks no word on a terminal of ${columns} columns, and is plain elsewhere`,
    async () => {
      await inTempDir(async (dir) => {
        const away = { driver: "ftp", args: { host: "127.0.0.1", port: 9, user: "u", passwd: "p" } };
        const out = { name: "out", driver: "local", args: { dir: "./out" } };
        await localJob(dir, { target: undefined, targets: [out, { name: "nas", ...away }], on_conflict: "park" });
        await Deno.writeTextFile(`${dir}/in/taken.ulg`, "ours");
        await Deno.writeTextFile(`${dir}/out/taken.ulg`, "somebody else's");
        await Deno.writeTextFile(
          `${dir}/bad.json`,
          '{ "jobs": [{ "name": "x", "sourc": {}, "finder": { "settle": "0x" } }] }',
        );
        assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 4);
        for (const args of ["status", "why taken.ulg", "plugins list", "doctor", "config check --config bad.json"]) {
          const plain = await filesync(dir, args.split(" "));
          // How long ago something was, and how much memory is free, differ from one run to the next.
          const words = (text: string) =>
            text.replace(/\d[\d.:-]*(\s+(ms|s|min)\b)?/g, "#").replace(/,/g, "").split(/\s+/);
          // deno-lint-ignore no-control-regex
          const text = (await inTerminal(dir, args, {}, columns)).replace(/\x1b\[[0-9;]*m/g, "").replaceAll("\r", "");
          for (const line of text.split("\n")) {
            assert.ok(line.length <= columns || !line.trim().includes(" "), `${args}: "${line}"`);
          }
          const all = words(text);
          for (const word of words(plain.stdout + plain.stderr)) {
            // The titles of a table are left out where its cells stand below one another.
            assert.ok(all.includes(word) || /^[A-Z]+$/.test(word), `${args}: "${word}" in ${text}`);
          }
          assert.ok(plain.stdout.split("\n").concat(plain.stderr.split("\n")).some((line) => line.length > 60), args);
        }
      });
    },
  );
}

testNeeding("script", "sync lets no name of a file act on the terminal", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/evil\x1b]0;title\x07\x1b[31m\u009b31m\u202e.txt`, "x");
    for (const args of ["sync --dry-run", "sync --once -v", "status", "ls logs.source"]) {
      const text = await inTerminal(dir, args);
      assert.match(text, /evil\\x1b\]0;title\\x07/, args);
      // deno-lint-ignore no-control-regex
      const rest = text.replace(/\x1b\[(\?7[lh]|K|J|\d+A|[0-9;]*m)|[\r\n]/g, "");
      // deno-lint-ignore no-control-regex
      assert.doesNotMatch(rest, /[\x00-\x1f\x7f-\x9f\u202e]/, args);
    }
  });
});

testNeeding("script", "sync draws nothing where it was told not to, and colours nothing under NO_COLOR", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.remove(`${dir}/in`);
    await Deno.mkdir(`${dir}/in`);
    await Deno.writeTextFile(`${dir}/in/line\nbreak`, "x");
    const colours = await inTerminal(dir, "sync --once");
    assert.ok(colours.includes("\x1b[33mwarning\x1b[0m logs: Parked"), colours);
    await Deno.remove(`${dir}/temp`, { recursive: true });
    const plain = await inTerminal(dir, "sync --once --no-progress", { NO_COLOR: "1" });
    assert.match(plain, /warning logs: Parked/);
    assert.ok(!plain.includes("\x1b"), JSON.stringify(plain));
    const dumb = await inTerminal(dir, "sync --once", { TERM: "dumb" });
    assert.ok(!dumb.includes("\x1b"), JSON.stringify(dumb));
    const json = await inTerminal(dir, "sync --once --json");
    assert.ok(!json.includes("\x1b"), "events on the screen are not torn apart by live lines");
  });
});

testNeeding("script", "sync moves files and stops when told on a terminal that takes nothing", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    const files = 1500;
    for (let n = 0; n < files; n++) await Deno.writeTextFile(`${dir}/in/${"long name ".repeat(10)}${n}`, `${n}`);
    const command = `echo $$ >pid; exec "${Deno.execPath()}" run -A --no-prompt --quiet "${MAIN}" sync -v`;
    // Nobody reads the pipe behind the terminal: that is what Ctrl-S does to the program.
    const child = new Deno.Command("script", {
      args: ["-qec", command, "/dev/null"],
      cwd: dir,
      env: { TERM: "xterm-256color", LC_ALL: "C.UTF-8" },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const until = async (isSo: () => boolean): Promise<void> => {
      for (const end = Date.now() + 120_000; !isSo();) {
        assert.ok(Date.now() < end, "it takes too long");
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await until(() => [...Deno.readDirSync(`${dir}/out`)].length === files);
    const pid = Number(await Deno.readTextFile(`${dir}/pid`));
    Deno.kill(pid, "SIGTERM");
    // As long as script does not read, its child stays as a zombie.
    await until(() => {
      try {
        return /^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
      } catch {
        return true;
      }
    });
    await child.stdout.cancel();
    await child.status;
  });
});

testNeeding(
  "script",
  "status --watch has the screen for itself, follows what happens, and gives the screen back",
  async () => {
    await inTempDir(async (dir) => {
      await localJob(dir, { limits: { download: "100KiB/s" } });
      await Deno.writeFile(`${dir}/in/large.bin`, new Uint8Array(1_000_000));
      const sync = new Running(dir, ["sync", "--no-progress", "--quiet"]);
      try {
        const text = await inTerminal(dir, "status --watch & sleep 7; kill -INT $!; wait $!; echo ended with $?");
        const screen = text.slice(text.indexOf("\x1b[?1049h"), text.indexOf("\x1b[?1049l"));
        assert.ok(screen.startsWith("\x1b[?1049h\x1b[H"));
        const frames = screen.split(WRAP_OFF).slice(1);
        assert.ok(frames.length >= 2, `${frames.length} frames`);
        assert.match(screen, /↓ large\.bin .*\/977 KiB/);
        for (const frame of frames) assert.ok(frame.split("\n").length < 20);
        // The last state stays on the terminal's own screen.
        const rest = text.slice(text.indexOf("\x1b[?1049l"));
        assert.match(rest, /logs.*source/);
        assert.match(rest, /ended with 0/);
      } finally {
        sync.child.kill("SIGTERM");
        await sync.ended();
      }
    });
  },
);

Deno.test("status --watch in a pipe tells the report again only when it has changed", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "a");
    const watch = new Running(dir, ["status", "--watch", "--json"]);
    await watch.stdoutMatches(/"jobs":\[\]/);
    await filesync(dir, ["sync", "--once"]);
    await watch.stdoutMatches(/"delivered":\{"count":1/);
    watch.child.kill("SIGINT");
    const { code, stdout } = await watch.ended();
    assert.equal(code, 0);
    const reports = stdout.trim().split("\n").map((line) => JSON.stringify({ ...JSON.parse(line), time: "" }));
    assert.equal(new Set(reports).size, reports.length);
  });
});
