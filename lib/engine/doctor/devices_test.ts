import assert from "node:assert/strict";
import type { DeviceConfig } from "../../config/mod.ts";
import type { Plugin } from "../../host/mod.ts";
import { type AskOptions, deviceFindings, type DeviceUse } from "./devices.ts";

/** A driver that is as good as its script: `methods` are the bodies of Python functions that return a result. */
async function withDriver(
  methods: Record<string, string>,
  use: (use: DeviceUse, options: AskOptions) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  const stateDir = `${dir}/state`;
  const bodies = Object.entries(methods).map(([name, body]) =>
    `def ${name}(p):\n    ${body.replaceAll("\n", "\n    ")}`
  );
  const script = `import json, sys, time, os
def fail(code, message, **more): raise LookupError(json.dumps({"code": -32000, "message": message, "data": {"code": code, **more}}))
def initialize(p): return {"name": "t", "version": "1", "capabilities": {"resumeDownload": True, "rateLimit": True}}
def shutdown(p): sys.exit(0)
${bodies.join("\n")}
for line in iter(sys.stdin.readline, ""):
    call = json.loads(line)
    if "id" not in call: continue
    answer = {"jsonrpc": "2.0", "id": call["id"]}
    try:
        method = globals().get(call["method"])
        if method is None: answer["error"] = {"code": -32601, "message": "no such method"}
        else: answer["result"] = method(call["params"])
    except LookupError as error: answer["error"] = json.loads(str(error))
    print(json.dumps(answer), flush=True)
`;
  await Deno.mkdir(stateDir);
  await Deno.writeTextFile(`${dir}/driver.py`, script);
  const plugin: Plugin = {
    name: "t",
    version: "1",
    description: "",
    roles: ["source", "target"],
    exclusive: false,
    args: {},
    origin: dir,
    command: ["python3", "driver.py"],
  };
  const device: DeviceConfig = { name: "cam", driver: "t", args: {}, place: "devices.cam" };
  const uses = { sources: [], targets: [] };
  const options = { signal: new AbortController().signal, deviceMsMax: 30_000, daemonPid: undefined };
  try {
    await use({ device, role: "source", plugin, args: {}, uses, stateDir }, options);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const STAT = 'return {"path": "", "kind": "directory"}';

Deno.test("deviceFindings() give a driver's own findings, and what it is able to do", async () => {
  const check = `return [{"name": "port", "ok": True, "detail": "open"},
  {"name": "tls", "ok": True, "detail": "off", "remedy": "Set secure"},
  {"name": "write", "ok": False, "detail": "no room", "remedy": "Make room"}]`;
  await withDriver({ stat: STAT, check }, async (use, options) => {
    const findings = await deviceFindings(use, options);
    assert.deepEqual(findings.map(({ level, name, exitCode }) => [level, name, exitCode]), [
      ["ok", "port", undefined],
      ["warning", "tls", undefined],
      ["problem", "write", 1],
      ["ok", "abilities", undefined],
    ]);
    assert.ok(findings.every(({ device, role }) => device === "cam" && role === "source"));
  });
});

Deno.test("deviceFindings() make do with the root where a driver has no check of its own, and with nothing", async () => {
  await withDriver({ stat: STAT }, async (use, options) => {
    const [first] = await deviceFindings(use, options);
    assert.deepEqual([first?.level, first?.detail], ["ok", "is there; the driver has no further checks"]);
  });
  await withDriver({}, async (use, options) => {
    const [first] = await deviceFindings(use, options);
    assert.deepEqual([first?.level, first?.name], ["warning", "device"]);
  });
});

Deno.test("deviceFindings() tell a device that is away once, in its words and with the exit code", async () => {
  const codes = [["unavailable", 5], ["not_found", 5], ["held", 5], ["denied", 6], ["failed", 1]] as const;
  for (const [code, exitCode] of codes) {
    const methods = { stat: `fail("${code}", "Cannot reach it", hint="Plug it in")`, check: "return []" };
    await withDriver(methods, async (use, options) => {
      const [first, second] = await deviceFindings(use, options);
      assert.deepEqual([first?.detail, first?.remedy, first?.exitCode], ["Cannot reach it", "Plug it in", exitCode]);
      assert.equal(second?.name, "abilities");
    });
  }
});

Deno.test("deviceFindings() tell a refused argument, and a driver that dies", async () => {
  await withDriver({ initialize: 'fail("invalid_config", "Argument is wrong")' }, async (use, options) => {
    const findings = await deviceFindings(use, options);
    assert.deepEqual(findings.map(({ name, exitCode }) => [name, exitCode]), [["driver", 3]]);
  });
  for (const method of ["initialize", "stat", "check"]) {
    await withDriver({ stat: STAT, [method]: "os._exit(7)" }, async (use, options) => {
      assert.equal((await deviceFindings(use, options))[0]?.exitCode, 8, method);
    });
  }
});

Deno.test("deviceFindings() wait for a device only so long", async () => {
  for (const method of ["initialize", "stat", "check"]) {
    await withDriver({ stat: STAT, [method]: "time.sleep(1000)" }, async (use, options) => {
      const [first] = await deviceFindings(use, { ...options, deviceMsMax: 300 });
      assert.deepEqual([first?.detail, first?.exitCode], ["Device did not answer in 1 s", 5], method);
    });
  }
});

Deno.test("deviceFindings() end when they are stopped", async () => {
  await withDriver({ stat: "time.sleep(1000)" }, async (use, options) => {
    const stop = new AbortController();
    const findings = deviceFindings(use, { ...options, signal: stop.signal });
    stop.abort();
    await assert.rejects(findings, { name: "AbortError" });
  });
});

Deno.test("deviceFindings() leave alone a device that the running filesync alone may have", async () => {
  await withDriver({ stat: "os._exit(7)" }, async (use, options) => {
    use.plugin.exclusive = true;
    const findings = await deviceFindings(use, { ...options, daemonPid: 4711 });
    assert.deepEqual(findings.map(({ level, name }) => [level, name]), [["warning", "device"]]);
    assert.match(findings[0]!.detail, /process 4711/);
    use.plugin.exclusive = false;
    assert.equal((await deviceFindings(use, { ...options, daemonPid: 4711 }))[0]?.exitCode, 8);
  });
});

Deno.test("deviceFindings() show the driver what it remembers, change nothing of it, and name it in remedies", async () => {
  const stat = `known = open("memory.txt").read()
open("memory.txt", "w").write("changed")
fail("unavailable", "Was " + known, hint="rm " + os.getcwd() + "/memory.txt")`;
  await withDriver({ stat }, async (use, options) => {
    await Deno.writeTextFile(`${use.stateDir}/memory.txt`, "mounted");
    const [first] = await deviceFindings(use, options);
    assert.deepEqual([first?.detail, first?.remedy], ["Was mounted", `rm ${use.stateDir}/memory.txt`]);
    assert.equal(await Deno.readTextFile(`${use.stateDir}/memory.txt`), "mounted");
  });
});
