/** Plugins that answer what the contract does not allow: the engine never sees it. */
import assert from "node:assert/strict";
import type { DeviceState, Entry, Progress } from "../../lib/driver/mod.ts";
import { type Bad, failureOf, openFault } from "../faults/bad_drivers/open.ts";
import { testNeeding } from "../support/needs.ts";

const UPLOAD = { spoolFile: "/none", path: "a.ulg", sizeBytes: 1, sha256: "00", onExisting: "replace" } as const;

async function listAll(bad: Bad, directory = "", recursive = false): Promise<{ entries: Entry[]; ignored: number }> {
  const entries: Entry[] = [];
  const { ignored } = await bad.device.list({ directory, recursive }, (batch) => void entries.push(...batch));
  return { entries, ignored };
}

testNeeding(
  "python3",
  "list() ignores and counts entries outside the directory and keeps odd names with a problem",
  async () => {
    await using bad = openFault("outside");
    const flat = await listAll(bad, "dir");
    assert.deepEqual(flat.entries.map(({ path, problem }) => [path.slice(0, 20), problem]), [
      ["dir/good", undefined],
      ["dir/line\nfeed", "name holds a control character"],
      [`dir/${"n".repeat(16)}`, "name is longer than 255 bytes"],
      ["dir/size", "device reports size -1"],
      ["dir/time", undefined],
    ]);
    assert.equal(flat.entries[4]?.modifiedMs, 2);
    assert.equal(flat.ignored, 11);
    const deep = await listAll(bad, "dir", true);
    assert(deep.entries.some(({ path }) => path === "dir/sub/deep"));
    assert.equal(deep.ignored, 10);
    assert.equal(bad.log.filter((line) => line.includes("11 entries")).length, 1);
  },
);

for (
  const [fault, reason] of [
    ["incomplete", "it did not say that it is complete"],
    ["torn", "it sent a line that could not be read"],
    ["big-line", "it sent a line that could not be read"],
    ["wrong-id", "it sent a line that could not be read"],
    ["no-list-of-entries", 'it sent "$/entries" without a list of entries'],
  ] as const
) {
  testNeeding("python3", `list() with the fault "${fault}" fails and does not look complete`, async () => {
    await using bad = openFault(fault);
    const error = await failureOf(listAll(bad));
    assert.deepEqual([error.code, error.message], ["failed", `Plugin "bad" breaks the contract in "list": ${reason}`]);
    assert.equal((await bad.device.stat("a")).path, "a", "the plugin lives on");
    assert.equal(bad.device.restarts, 0);
  });
}

testNeeding("python3", "list() fails with broken when the plugin ends in the middle of a line", async () => {
  await using bad = openFault("half");
  assert.equal((await failureOf(listAll(bad))).code, "broken");
});

testNeeding("python3", "list() is not spoiled by words on stdout that cannot be a message", async () => {
  await using bad = openFault("chatty");
  assert.deepEqual(await listAll(bad), { entries: [{ path: "a", kind: "file", sizeBytes: 1 }], ignored: 0 });
  assert(bad.log.some((line) => line.includes("no message (noise), which is ignored") || line.includes("Connecting")));
});

testNeeding("python3", "list() ends with what take() throws, after the plugin gave it up", async () => {
  await using bad = openFault("cancellable");
  const listing = bad.device.list({ directory: "" }, () => Promise.reject(new RangeError("store is full")));
  await assert.rejects(listing, RangeError);
  assert.equal((await bad.device.stat("a")).path, "a");
});

testNeeding("python3", "stat() tolerates unknown fields, notifications, methods and answers", async () => {
  await using bad = openFault("unknown");
  assert.deepEqual(await bad.device.stat("a"), { path: "a", kind: "file", sizeBytes: 1 });
});

testNeeding("python3", "stat() of a plugin that asks the host something is answered -32601 and goes on", async () => {
  await using bad = openFault("asks");
  assert.equal((await bad.device.stat("a")).etag, "-32601");
});

testNeeding("python3", "stat() refuses the entry of another path", async () => {
  await using bad = openFault("other-path");
  assert.match((await failureOf(bad.device.stat("a"))).message, /it answered with another path$/);
});

testNeeding("python3", "stat() never ends with cancelled unless we cancelled", async () => {
  await using bad = openFault("cancels-itself");
  const error = await failureOf(bad.device.stat("a"));
  assert.deepEqual([error.code, error.message], ["failed", 'Plugin cancelled "stat" by itself: I had enough']);
});

testNeeding(
  "python3",
  "errors are shown without control characters and secrets, and with a bounded patience",
  async () => {
    const schema = { properties: { passwd: { type: "string", writeOnly: true } } };
    await using bad = openFault("odd-error", { args: { passwd: "hunter22" }, plugin: { args: schema } });
    const error = await failureOf(bad.device.stat("a"));
    assert.deepEqual([error.code, error.message], ["failed", "It broke with ***"]);
    assert.deepEqual(error.details, { hint: "say ***", retryAfterMs: 86_400_000 });
  },
);

testNeeding("python3", "download() refuses an answer without a size", async () => {
  await using bad = openFault("bad-size");
  const call = bad.device.download({ path: "a", spoolFile: bad.spoolFile, offsetBytes: 0, expect: {} });
  const error = await failureOf(call);
  assert.equal(error.code, "failed");
  assert.match(error.message, /without a valid "sizeBytes"/);
});

testNeeding("python3", "download() drops malformed progress and an oversize resume state", async () => {
  await using bad = openFault("bad-progress");
  const seen: Progress[] = [];
  await bad.device.download({ path: "a", spoolFile: bad.spoolFile, offsetBytes: 0, expect: {} }, {
    onProgress: (progress) => seen.push(progress),
  });
  assert.deepEqual(seen, [{ doneBytes: 3 }]);
});

testNeeding("python3", "upload() and confirm() answered with nonsense are uncertain", async () => {
  await using bad = openFault("bad-receipt");
  assert.equal((await failureOf(bad.device.upload(UPLOAD))).code, "uncertain");
  assert.equal((await failureOf(bad.device.confirm(UPLOAD))).code, "uncertain");
});

testNeeding("python3", "a good driver's answers arrive", async () => {
  await using bad = openFault("");
  assert.deepEqual(await bad.device.upload(UPLOAD), {
    path: "a.ulg",
    sizeBytes: 1,
    verified: "size",
    checksum: { algorithm: "md5", value: "d41d8cd98f00b204e9800998ecf8427e" },
  });
  assert.equal(await bad.device.confirm(UPLOAD), null);
  assert.equal(await bad.device.remove({ path: "a", expect: {} }), undefined);
  assert.deepEqual(await bad.device.check(), [
    { name: "reach", ok: false, detail: "no route", remedy: "Plug it in" },
  ]);
  assert.equal(bad.device.deviceId, "uid:1");
});

testNeeding("python3", "callsMax is kept between 1 and 64", async () => {
  await using bad = openFault("greedy");
  assert.equal((await bad.device.capabilities()).callsMax, 64);
});

testNeeding("python3", "$/state changes the device id and callsMax, and its nonsense is left out", async () => {
  await using bad = openFault("states");
  const states: DeviceState[] = [];
  const told = new Promise<void>((resolve) =>
    bad.device.onState((state) => {
      states.push(state);
      resolve();
    })
  );
  await bad.device.stat("a");
  await told;
  assert.deepEqual(states, [{ available: false, reason: "unplugged", deviceId: "uid:2", callsMax: 1 }]);
  assert.equal(bad.device.deviceId, "uid:2");
  assert.equal((await bad.device.capabilities()).callsMax, 1);
});

testNeeding("python3", "$/state during the handshake is heard", async () => {
  await using bad = openFault("early-state");
  const told = new Promise<DeviceState>((resolve) => bad.device.onState(resolve));
  await bad.device.capabilities();
  assert.deepEqual(await told, { held: true, reason: "armed" });
});

testNeeding("python3", "a plugin is not used in a role that it does not have, or with a problem", async () => {
  await using bad = openFault("", { plugin: { roles: ["target"] } });
  const error = await failureOf(bad.device.stat("a"));
  assert.deepEqual([error.code, error.message], ["unsupported", 'Plugin "bad" cannot be a source']);
  await using refused = openFault("", { plugin: { problem: "Others can write to it", hint: "chmod go-w it" } });
  const refusal = await failureOf(refused.device.capabilities());
  assert.deepEqual([refusal.code, refusal.details.hint], ["unsupported", "chmod go-w it"]);
  assert.equal(refused.device.pid, undefined);
});
