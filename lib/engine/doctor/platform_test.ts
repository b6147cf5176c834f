import assert from "node:assert/strict";
import type { Config } from "../../config/mod.ts";
import { fakeMachine } from "./_fake_machine.ts";
import type { DoctorFinding } from "./finding.ts";
import { THIS_MACHINE } from "./machine.ts";
import { clockFindings, platformFindings, userFindings } from "./platform.ts";

function named(findings: DoctorFinding[], name: string): DoctorFinding {
  const found = findings.find((finding) => finding.name === name);
  assert.ok(found, `no finding "${name}"`);
  return found;
}

const withWindow = { jobs: [{ name: "night", windows: [{ fromMinute: 0, toMinute: 24 * 60 }] }] } as unknown as Config;

Deno.test("platformFindings() are all well on a Pi with pages of 4 KiB", async () => {
  const machine = fakeMachine({ text: () => "Raspberry Pi 4 Model B Rev 1.4\0" });
  const findings = await platformFindings(machine, 2);
  assert.deepEqual(findings.map(({ level }) => level), ["ok", "ok", "ok"]);
  assert.match(named(findings, "platform").detail, /^Raspberry Pi 4 Model B Rev 1\.4, aarch64, 64-bit, .* 4 KiB$/);
});

Deno.test("platformFindings() give a Pi 5 with pages of 16 KiB the kernel to use", async () => {
  const machine = fakeMachine({ output: () => Promise.resolve("16384") });
  const finding = named(await platformFindings(machine, 0), "platform");
  assert.equal(finding.level, "warning");
  assert.match(finding.detail, /16 KiB/);
  assert.match(finding.remedy ?? "", /kernel=kernel8\.img .*\/boot\/firmware\/config\.txt/);
});

Deno.test("platformFindings() warn of missing setpriv and of too little memory", async () => {
  const machine = fakeMachine({ killsOrphans: () => false, availableBytes: () => 120 * 1024 * 1024 });
  const findings = await platformFindings(machine, 2);
  assert.equal(named(findings, "child processes").remedy, "sudo apt install util-linux");
  assert.match(named(findings, "memory").detail, /^120 MiB are free, about 200 MiB/);
  assert.equal(named(findings, "memory").level, "warning");
});

Deno.test("platformFindings() of this machine do not fail", async () => {
  assert.ok((await platformFindings(THIS_MACHINE, 1)).length >= 2);
  assert.equal((await clockFindings(THIS_MACHINE, undefined)).length, 1);
});

Deno.test("clockFindings() know a clock that was never set, and one that is not set from the network", async () => {
  const [never] = await clockFindings(fakeMachine({ nowMs: () => 0 }), undefined);
  assert.equal(never?.level, "warning");
  assert.match(never?.detail ?? "", /^1970-01-01 00:00 UTC cannot be right/);
  assert.match(never?.remedy ?? "", /^sudo timedatectl set-ntp true/);
  const [free] = await clockFindings(fakeMachine({ output: () => Promise.resolve("no") }), undefined);
  assert.deepEqual([free?.level, /not set from the network/.test(free?.detail ?? "")], ["warning", true]);
  const [set] = await clockFindings(fakeMachine({ exists: () => true }), undefined);
  assert.deepEqual([set?.level, /, set from the network$/.test(set?.detail ?? "")], ["ok", true]);
  const [unknown] = await clockFindings(fakeMachine({ output: () => Promise.resolve(undefined) }), undefined);
  assert.equal(unknown?.level, "ok");
});

Deno.test("clockFindings() tell the time zone that windows are read in", async () => {
  const open = named(await clockFindings(fakeMachine(), withWindow), "window");
  assert.deepEqual([open.level, open.job], ["ok", "night"]);
  assert.match(open.detail, /is open now: it is \d\d:\d\d in the time zone "Europe\/Berlin"$/);
  const utc = named(await clockFindings(fakeMachine({ timeZone: () => "Etc/UTC" }), withWindow), "window");
  assert.equal(utc.level, "warning");
  const wrong = named(await clockFindings(fakeMachine({ nowMs: () => 0 }), withWindow), "window");
  assert.match(wrong.detail, /is ignored while the clock is wrong/);
});

Deno.test("userFindings() tell root that it sees with other rights than the state store's owner", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const config = { file: `${dir}/it's.json`, statePath: `${dir}/filesync.db` } as Config;
    const root = fakeMachine({ uid: 0, text: () => "root:x:0:0::/:/bin/sh\n" });
    assert.deepEqual(userFindings(root, config), []);
    await Deno.writeTextFile(config.statePath, "");
    const uid = Deno.statSync(config.statePath).uid;
    if (uid === 0 && Deno.uid() === 0) await Deno.chown(config.statePath, 65534, 65534);
    const [finding] = userFindings(root, config);
    assert.match(finding?.remedy ?? "", /^sudo -u '#\d+' filesync doctor --config '.*it'\\''s\.json'$/);
    assert.deepEqual(userFindings(fakeMachine(), config), []);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
