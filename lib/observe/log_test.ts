import assert from "node:assert/strict";
import { closeLog, configureLog, logFor, type LogOptions, setConsoleWriter } from "./log.ts";
import { visible } from "./visible.ts";

async function logged(options: Partial<LogOptions>, run: () => void | Promise<void>): Promise<string[]> {
  let text = "";
  setConsoleWriter((written) => text += written);
  try {
    await configureLog({ level: "info", maxBytes: 1 << 20, keep: 2, console: true, ...options });
    await run();
  } finally {
    await closeLog();
    setConsoleWriter();
  }
  return text === "" ? [] : text.slice(0, -1).split("\n");
}

Deno.test("logFor() is silent before the log is configured", async () => {
  const log = logFor("early");
  log.error("Nobody hears this");
  assert.deepEqual(await logged({}, () => {}), []);
});

Deno.test("logFor() writes time, level, scope and message, and keeps to the level", async () => {
  const lines = await logged({}, () => {
    logFor("nas").debug("Too small a matter");
    logFor("nas").info("Is back");
  });
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^\d\d:\d\d:\d\d info nas: Is back$/);
});

Deno.test("logFor() leaves braces and percent signs of a message alone", async () => {
  const lines = await logged({}, () => logFor("a{b}").info('Found "{name} %s {{x}}"'));
  assert.match(lines[0]!, /info a\{b\}: Found "\{name\} %s \{\{x\}\}"$/);
});

Deno.test("logFor() never lets a name's control characters reach the terminal", async () => {
  const lines = await logged({ colour: true }, () => logFor("x\x1b]0;").info("Found \x1b[2J\r\nroot: \u202egpj.exe"));
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /x\\x1b\]0;: Found \\x1b\[2J\\r\\nroot: \\u202egpj\.exe$/);
});

Deno.test("logFor() counts a message that repeats, in its own scope", async () => {
  const lines = await logged({ journal: true }, () => {
    for (let n = 0; n < 4; n++) {
      logFor("a").warning("Device does not answer");
      logFor("b").info("Waits");
    }
    logFor("a").info("Is back");
    logFor("a").warning("Device does not answer");
  });
  assert.deepEqual(lines, [
    "<4>a: Device does not answer",
    "<6>b: Waits",
    "<4>a: Last message repeated 3 times",
    "<6>a: Is back",
    "<4>a: Device does not answer",
    "<6>b: Last message repeated 3 times",
  ]);
});

Deno.test("configureLog() writes the file at its own level and rotates it by size", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/filesync.log`;
    const lines = await logged({ file, level: "debug", consoleLevel: "error", maxBytes: 2000, keep: 2 }, async () => {
      for (let round = 0; round < 5; round++) {
        for (let n = 0; n < 20; n++) logFor("job").debug(`Line ${round}.${n} ${"x".repeat(40)}`);
        await closeLog();
        await configureLog({ level: "debug", file, maxBytes: 2000, keep: 2, console: false });
      }
    });
    assert.deepEqual(lines, []);
    const names = [...Deno.readDirSync(dir)].map((entry) => entry.name).sort();
    assert.deepEqual(names, ["filesync.log", "filesync.log.1", "filesync.log.2"]);
    assert.match(await Deno.readTextFile(file), /^\d{4}-\d\d-\d\dT\S+Z debug job: Line 4\.0 x+\n/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("configureLog() goes on without a log file that cannot be written", async () => {
  const lines = await logged({ file: "/proc/no/such/file.log", journal: true }, () => logFor("job").info("Goes on"));
  assert.match(lines[0]!, /^<4>log: Cannot write the log file "\/proc\/no\/such\/file\.log": /);
  assert.equal(lines[1], "<6>job: Goes on");
});

Deno.test("configureLog() writes JSON lines when asked", async () => {
  const lines = await logged({ json: true }, () => logFor("nas").error('Cannot open "a\nb"'));
  const { time, ...rest } = JSON.parse(lines[0]!);
  assert.deepEqual(rest, { level: "error", scope: "nas", message: 'Cannot open "a\nb"' });
  assert.ok(!Number.isNaN(Date.parse(time)));
});

Deno.test("visible() escapes what moves, hides or reorders, and keeps the rest", () => {
  assert.equal(visible("plain ünï 日本 👨‍👩‍👧 'q'"), "plain ünï 日本 👨‍👩‍👧 'q'");
  assert.equal(visible("\0\x07\x1b[31m\x7f\x9b\u2028\ufeff"), "\\x00\\x07\\x1b[31m\\x7f\\x9b\\u2028\\ufeff");
  assert.equal(visible("a\ud800b\udc00"), "a\\ud800b\\udc00");
});
