import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Config } from "../../config/mod.ts";
import { registerDevice, Store } from "../../state/mod.ts";
import { fakeMachine } from "./_fake_machine.ts";
import type { DoctorFinding } from "./finding.ts";
import { logFindings, spoolFindings } from "./spool.ts";
import { lookAtState } from "./state_store.ts";

async function inDir(use: (dir: string, config: Config) => void): Promise<void> {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  const config = {
    statePath: `${dir}/filesync.db`,
    spool: { dir: `${dir}/spool`, quotaBytes: 1024 ** 2, minFreeBytes: 0, refetch: true },
    log: { level: "info", maxBytes: 1, keep: 1 },
  } as Config;
  try {
    use(dir, config);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function makeStore(path: string): void {
  using store = new Store(path);
  store.write(() => store.setMeta("store_id", "one"));
  registerDevice(store, "nas", "target");
}

const mountedAs = (type: string, options = "") =>
  fakeMachine({ text: (path) => path === "/proc/self/mountinfo" ? `1 0 8:1 / / rw - ${type} x rw${options}\n` : "" });
const brief = (findings: DoctorFinding[]) => findings.map(({ level, exitCode }) => `${level} ${exitCode ?? ""}`.trim());

Deno.test("lookAtState() finds a store that is sound, its identity and the folders of its devices", async () => {
  await inDir((_, config) => {
    const none = lookAtState(mountedAs("ext4"), config);
    assert.deepEqual([brief(none.findings), none.isReadable], [["ok"], true]);
    makeStore(config.statePath);
    const look = lookAtState(mountedAs("ext4"), config);
    assert.equal(look.findings.length, 1);
    assert.match(look.findings[0]!.detail, /on ext4 is sound$/);
    assert.deepEqual([look.storeId, look.daemonPid, look.deviceRows.get("nas/target")], ["one", undefined, 1]);
  });
});

Deno.test("lookAtState() refuses a store on the network and on FAT, and warns of one in memory", async () => {
  await inDir((_, config) => {
    for (const type of ["nfs4", "cifs", "vfat", "exfat"]) {
      const { findings, isReadable } = lookAtState(mountedAs(type), config);
      assert.deepEqual([brief(findings), isReadable], [["problem 7"], false], type);
      assert.match(findings[0]!.remedy!, /^Set "state" to a path on a disk/);
    }
    assert.deepEqual(brief(lookAtState(mountedAs("tmpfs"), config).findings), ["warning", "ok"]);
  });
});

Deno.test("lookAtState() and spoolFindings() see a disk that is read-only since it had errors", async () => {
  await inDir((dir, config) => {
    makeStore(config.statePath);
    Deno.mkdirSync(`${dir}/spool`);
    const machine = mountedAs("ext4", ",relatime,emergency_ro");
    const findings = [...lookAtState(machine, config).findings];
    findings.push(...spoolFindings(machine, config, { id: "one", isReadable: true }));
    assert.deepEqual(brief(findings), ["problem 6", "problem 6"]);
    for (const { detail, remedy } of findings) {
      assert.match(detail, /is mounted read-only/);
      assert.match(remedy!, /a disk with errors is made read-only: dmesg/);
    }
  });
});

Deno.test("lookAtState() sees damage in the head of the file and in the middle of it", async () => {
  await inDir((_, config) => {
    makeStore(config.statePath);
    const whole = Deno.readFileSync(config.statePath);
    for (const at of [0, 8192, Math.floor(whole.length / 2)]) {
      const bytes = whole.slice();
      bytes.fill(0xa5, at, at + 4096);
      Deno.writeFileSync(config.statePath, bytes);
      const { findings, isReadable } = lookAtState(fakeMachine(), config);
      assert.deepEqual([brief(findings), isReadable], [["problem 7"], false], `at ${at}`);
      assert.match(findings[0]!.detail, /damaged/);
      assert.match(findings[0]!.remedy!, /backup.*filesync sync --rebuild-state$/);
    }
  });
});

Deno.test("lookAtState() only warns of a store that the next sync brings up to date", async () => {
  await inDir((_, config) => {
    new Store(config.statePath).close();
    const older = new DatabaseSync(config.statePath);
    older.exec("PRAGMA user_version = 1");
    older.close();
    const { findings } = lookAtState(fakeMachine(), config);
    assert.deepEqual(brief(findings), ["warning"]);
    assert.match(findings[0]!.remedy!, /filesync sync/);
  });
});

Deno.test("spoolFindings() leave the spool as it was", async () => {
  await inDir((_, config) => {
    assert.deepEqual(brief(spoolFindings(fakeMachine(), config, { id: undefined, isReadable: true })), ["ok"]);
    assert.throws(() => Deno.statSync(config.spool.dir), Deno.errors.NotFound);
    Deno.mkdirSync(config.spool.dir);
    assert.deepEqual(brief(spoolFindings(fakeMachine(), config, { id: "one", isReadable: true })), ["ok"]);
    assert.deepEqual([...Deno.readDirSync(config.spool.dir)], []);
  });
});

Deno.test("spoolFindings() refuse a spool of another store, and do not judge one when the store cannot be read", async () => {
  await inDir((_, config) => {
    Deno.mkdirSync(config.spool.dir);
    Deno.writeTextFileSync(`${config.spool.dir}/store.id`, "other\n");
    const foreign = spoolFindings(fakeMachine(), config, { id: "one", isReadable: true });
    assert.deepEqual(brief(foreign), ["problem 7"]);
    assert.match(foreign[0]!.detail, /belongs to another state store/);
    assert.deepEqual(brief(spoolFindings(fakeMachine(), config, { id: undefined, isReadable: true })), ["problem 7"]);
    assert.deepEqual(brief(spoolFindings(fakeMachine(), config, { id: undefined, isReadable: false })), ["ok"]);
    assert.deepEqual(brief(spoolFindings(fakeMachine(), config, { id: "other", isReadable: true })), ["ok"]);
  });
});

Deno.test("spoolFindings() compare the free room with min_free and the quota", async () => {
  await inDir((_, config) => {
    const find = () => spoolFindings(fakeMachine(), config, { id: undefined, isReadable: true });
    config.spool.minFreeBytes = 1024 ** 5;
    assert.deepEqual(brief(find()), ["problem 1"]);
    assert.match(find()[0]!.detail, /less than spool\.min_free of 1024TiB: nothing is fetched$/);
    config.spool.minFreeBytes = 0;
    config.spool.quotaBytes = 1024 ** 5;
    assert.deepEqual(brief(find()), ["warning"]);
    config.spool.quotaBytes = 3;
    Deno.mkdirSync(`${config.spool.dir}/1`, { recursive: true });
    Deno.writeTextFileSync(`${config.spool.dir}/1/1.spool`, "four");
    assert.match(find()[0]!.detail, /more than the quota of 3B/);
  });
});

Deno.test("spoolFindings() warn of a spool in memory, on the network, on FAT, and of what is not ours", async () => {
  await inDir((_, config) => {
    const find = (type: string) => spoolFindings(mountedAs(type), config, { id: undefined, isReadable: true });
    assert.match(find("tmpfs")[0]!.detail, /lies in memory/);
    assert.match(find("nfs4")[0]!.detail, /lies on the network/);
    assert.match(find("vfat")[0]!.detail, /files end at 4 GiB$/);
    Deno.mkdirSync(`${config.spool.dir}/1`, { recursive: true });
    Deno.writeTextFileSync(`${config.spool.dir}/1/holiday.jpg`, "");
    assert.match(find("ext4")[0]!.detail, /^1 file in ".*" are not filesync's: ".*holiday\.jpg"$/);
  });
});

Deno.test("spoolFindings() and logFindings() see what cannot be written", async () => {
  await inDir((dir, config) => {
    Deno.writeTextFileSync(`${dir}/file`, "");
    config.spool.dir = `${dir}/file/spool`;
    assert.deepEqual(brief(spoolFindings(fakeMachine(), config, { id: undefined, isReadable: true })), ["problem 1"]);
    assert.deepEqual(logFindings(fakeMachine(), config), []);
    config.log.file = `${dir}/logs/filesync.log`;
    assert.deepEqual(brief(logFindings(fakeMachine(), config)), ["ok"]);
    config.log.file = `${dir}/file/filesync.log`;
    assert.deepEqual(brief(logFindings(fakeMachine(), config)), ["warning"]);
  });
});
