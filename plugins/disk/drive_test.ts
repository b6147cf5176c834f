/** Drives that come and go under the driver's hands: real filesystems on loop devices, mounted by the driver itself. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Call, DeviceState, Entry, Role, UploadParams } from "../../lib/driver/mod.ts";
import {
  DRIVES,
  hasDrives,
  LoopDrive,
  type LoopDriveOptions,
  mountPointsOf,
  tool,
} from "../../tests/support/loop_drive.ts";
import { testNeeding } from "../../tests/support/needs.ts";
import { DiskDriver } from "./driver.ts";
import { look } from "./libc.ts";

// Loads the C library, which stays, before a test could be blamed for it.
look("/");

const MIB = 1024 * 1024;

class Bed implements AsyncDisposable {
  readonly base: string;
  readonly driver = new DiskDriver();
  readonly states: DeviceState[] = [];
  readonly #drives: LoopDrive[] = [];
  #waiting = () => {};

  constructor() {
    this.base = Deno.makeTempDirSync({ prefix: "filesync-disk-" });
    Deno.mkdirSync(`${this.base}/spool`);
  }

  get point(): string {
    return `${this.base}/mount`;
  }

  async drive(options: LoopDriveOptions = {}): Promise<LoopDrive> {
    const drive = await LoopDrive.make(this.base, options);
    this.#drives.push(drive);
    return drive;
  }

  start(role: Role, args: Record<string, unknown>): void {
    this.driver.initialize({
      protocol: 1,
      device: "drive",
      role,
      args: { mount_point: this.point, ...args },
      spoolDir: `${this.base}/spool`,
      stateDir: this.base,
      logLevel: "info",
    }, {
      state: (state) => {
        this.states.push(state);
        this.#waiting();
      },
      log: () => {},
    });
  }

  /** Waits until the driver says that the drive is there, or that it is not. */
  async told(available: boolean): Promise<void> {
    while (!this.states.some((state) => state.available === available)) {
      await new Promise<void>((resolve) => this.#waiting = resolve);
    }
    this.states.length = 0;
  }

  async list(onEntries?: () => void | Promise<void>): Promise<Entry[]> {
    const sent: Entry[] = [];
    await this.driver.list({ directory: "", recursive: true }, {
      ...call(),
      entries: async (entries) => {
        sent.push(...entries.filter(({ path }) => path !== "lost+found"));
        await onEntries?.();
      },
    });
    return sent;
  }

  async download(entry: Entry, spoolFile: string, offsetBytes = 0, at: Partial<Call> = {}): Promise<void> {
    const { sizeBytes, modifiedMs } = entry;
    await this.driver.download({
      path: entry.path,
      spoolFile,
      offsetBytes,
      expect: { sizeBytes: sizeBytes!, modifiedMs: modifiedMs! },
    }, {
      ...call(),
      ...at,
    });
  }

  upload(path: string, bytes: Uint8Array): UploadParams {
    const spoolFile = `${this.base}/spool/${crypto.randomUUID()}`;
    Deno.writeFileSync(spoolFile, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { spoolFile, path, sizeBytes: bytes.length, sha256, onExisting: "rename" };
  }

  /** What lies in the bare mount point. */
  bare(): string[] {
    try {
      return [...Deno.readDirSync(this.point)].map(({ name }) => name);
    } catch {
      return [];
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.shutdown();
    for (const drive of this.#drives) await drive[Symbol.asyncDispose]();
    await Deno.remove(this.base, { recursive: true });
  }
}

function call(): Call {
  return {
    signal: new AbortController().signal,
    progress: () => {},
    entries: () => Promise.resolve(),
    throttle: () => Promise.resolve(),
  };
}

function random(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + 65536)));
  return bytes;
}

function test(name: string, run: (bed: Bed) => Promise<void>): void {
  testNeeding(DRIVES, `disk: ${name}`, async () => {
    await using bed = new Bed();
    await run(bed);
  }, hasDrives());
}

test("a drive that is plugged in later is mounted read-only, and unmounted at the end", async (bed) => {
  const drive = await bed.drive();
  await drive.fill({ "a.jpg": "picture" });
  bed.start("source", { uuid: drive.uuid.toUpperCase() });
  await assert.rejects(bed.list(), { code: "unavailable" });
  const device = await drive.plugIn();
  await bed.told(true);
  assert.deepEqual((await bed.list()).map(({ path }) => path), ["a.jpg"]);
  const mount = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n").find((line) => line.includes(bed.point));
  assert.match(mount ?? "", / ro,nosuid,nodev,noexec/);
  await bed.driver.shutdown();
  assert.deepEqual(await mountPointsOf(device), []);
});

test("a drive that is known by its label alone is found when it comes, and told by its UUID", async (bed) => {
  const label = "Duo 'Ä' x";
  const drive = await bed.drive({ label });
  const other = await bed.drive({ label: "Duo" });
  await drive.fill({ "a.jpg": "picture" });
  await other.plugIn();
  bed.start("source", { label });
  await assert.rejects(bed.list(), { code: "unavailable" });
  await drive.plugIn();
  await bed.told(true);
  assert.deepEqual((await bed.list()).map(({ path }) => path), ["a.jpg"]);
  assert.deepEqual(bed.states.find(({ deviceId }) => deviceId !== undefined)?.deviceId, drive.uuid);
});

test("a source becomes writable only when a copy is removed", async (bed) => {
  const drive = await bed.drive();
  await drive.fill({ "a.jpg": "picture" });
  await drive.plugIn();
  bed.start("source", { uuid: drive.uuid });
  const [entry] = await bed.list();
  await bed.driver.remove({ path: "a.jpg", expect: { sizeBytes: entry!.sizeBytes! } });
  assert.deepEqual(await bed.list(), []);
  await bed.driver.shutdown();
  await drive.detach();
  assert.deepEqual([...(await drive.files()).keys()], []);
});

test("a drive that is pulled in the middle of a listing is listed whole under another number", async (bed) => {
  const drive = await bed.drive();
  const other = await bed.drive();
  const names = Array.from({ length: 2500 }, (_, n) => `d${n % 5}/${n}.jpg`);
  await drive.fill(Object.fromEntries(names.map((name) => [name, ""])));
  const before = await drive.plugIn();
  bed.start("source", { uuid: drive.uuid });
  let batches = 0;
  await assert.rejects(bed.list(() => ++batches === 1 ? pullNow(drive) : undefined), { code: "unavailable" });
  await drive.detach();
  await bed.told(false);
  await assert.rejects(bed.list(), { code: "unavailable" });
  assert.deepEqual(bed.bare(), []);
  while (await other.plugIn() !== before && other.device! < before) await other.detach();
  assert.notEqual(await drive.plugIn(), before);
  await bed.told(true);
  const files = (await bed.list()).filter(({ kind }) => kind === "file");
  assert.deepEqual(files.map(({ path }) => path).sort(), names.sort());
});

test("a download that a pulled drive has cut goes on from the byte where it stopped", async (bed) => {
  const drive = await bed.drive();
  const bytes = random(32 * MIB);
  await drive.fill({ "a.tiff": bytes });
  await drive.plugIn();
  bed.start("source", { uuid: drive.uuid });
  const [entry] = await bed.list();
  const spoolFile = `${bed.base}/spool/a`;
  await Deno.writeFile(spoolFile, new Uint8Array(0));
  let pulled: Promise<void> | undefined;
  let blocks = 0;
  const throttle = async () => {
    if (++blocks === 8) await (pulled = pullNow(drive));
  };
  await assert.rejects(bed.download(entry!, spoolFile, 0, { throttle }), { code: "unavailable" });
  await pulled;
  await drive.detach();
  const { size } = await Deno.stat(spoolFile);
  assert.ok(size > 0 && size < bytes.length, `${size} bytes`);
  assert.ok(Buffer.from(bytes.subarray(0, size)).equals(await Deno.readFile(spoolFile)), "a true prefix");
  await drive.plugIn();
  await bed.told(true);
  let first: number | undefined;
  await bed.download(entry!, spoolFile, size, { progress: (doneBytes) => first ??= doneBytes });
  assert.equal(first, size - 64 * 1024, "the end of the prefix is compared again");
  assert.ok(Buffer.from(bytes).equals(await Deno.readFile(spoolFile)));
});

test("an upload that a pulled drive has cut writes nothing below the mount point, and is whole later", async (bed) => {
  const drive = await bed.drive();
  await drive.plugIn();
  bed.start("target", { uuid: drive.uuid });
  const bytes = random(16 * MIB);
  const params = bed.upload("day/a.tiff", bytes);
  let blocks = 0;
  const throttle = async () => {
    if (++blocks === 8) await pullNow(drive);
  };
  await assert.rejects(bed.driver.upload(params, { ...call(), throttle }), { code: "unavailable" });
  await drive.detach();
  assert.deepEqual(bed.bare(), []);
  await assert.rejects(bed.driver.upload(params, call()), { code: "unavailable" });
  assert.deepEqual(bed.bare(), []);
  await drive.plugIn();
  assert.equal((await bed.driver.upload(params, call())).path, "day/a.tiff");
  await bed.driver.shutdown();
  await drive.detach();
  const files = await drive.files();
  assert.deepEqual([...files.keys()], ["day/a.tiff"]);
  assert.ok(Buffer.from(bytes).equals(files.get("day/a.tiff")!));
});

test("two drives with one UUID are told, and one of them is taken when the other is pulled", async (bed) => {
  const drive = await bed.drive();
  const twin = await bed.drive({ uuid: drive.uuid });
  await drive.fill({ "first.jpg": "1" });
  await twin.fill({ "second.jpg": "2" });
  await drive.plugIn();
  await twin.plugIn();
  bed.start("source", { uuid: drive.uuid });
  await assert.rejects(bed.list(), { code: "unavailable", message: /is there 2 times: "\/dev\/loop\d+" and/ });
  await drive.pull();
  await bed.told(true);
  assert.deepEqual((await bed.list()).map(({ path }) => path), ["second.jpg"]);
});

test("a mount that a pulled drive has left is taken away when the drive is back", async (bed) => {
  const drive = await bed.drive();
  await drive.fill({ "a.jpg": "picture" });
  const again = await bed.drive({ uuid: drive.uuid });
  await again.fill({ "a.jpg": "picture", "b.jpg": "another" });
  await drive.plugIn();
  bed.start("source", { uuid: drive.uuid });
  await bed.list();
  // The filesystem is dead and stays mounted, and its device answers nobody any more.
  await drive.die();
  await assert.rejects(bed.list(), { code: "unavailable" });
  await again.plugIn();
  assert.deepEqual((await bed.list()).map(({ path }) => path).sort(), ["a.jpg", "b.jpg"]);
});

test("a mount that a dead process has left is taken away, though the reader's device is still there", async (bed) => {
  const drive = await bed.drive();
  await drive.fill({ "a.jpg": "picture" });
  await drive.plugIn();
  await drive.mount(bed.point);
  await drive.vanish();
  await drive.plugIn();
  bed.start("source", { uuid: drive.uuid });
  assert.deepEqual((await bed.list()).map(({ path }) => path), ["a.jpg"]);
});

test("a filesystem without a device is nobody's dead mount", async (bed) => {
  const drive = await bed.drive();
  await drive.plugIn();
  await Deno.mkdir(bed.point);
  await tool("mount", "-t", "tmpfs", "ours", bed.point);
  try {
    bed.start("source", { uuid: drive.uuid });
    await assert.rejects(bed.list(), { code: "unavailable", message: /"ours" is mounted there/ });
  } finally {
    await tool("umount", bed.point);
  }
});

test("an empty mount point is no drive without files", async (bed) => {
  const drive = await bed.drive();
  await drive.fill({ "a.jpg": "picture" });
  await drive.plugIn();
  await drive.mount(`${bed.base}/system`);
  bed.start("source", { uuid: drive.uuid, mount: "never" });
  assert.equal((await bed.list()).length, 1);
  await drive.unmount(`${bed.base}/system`);
  await assert.rejects(bed.list(), { code: "unavailable", message: /nobody has mounted it/ });
  await drive.mount(`${bed.base}/elsewhere`);
  await bed.told(true);
  assert.equal((await bed.list()).length, 1);
});

test("a mount point that another filesystem has is left alone", async (bed) => {
  const drive = await bed.drive();
  const other = await bed.drive();
  await drive.plugIn();
  await other.plugIn();
  await other.mount(bed.point);
  bed.start("source", { uuid: drive.uuid });
  await assert.rejects(bed.list(), { code: "unavailable", message: /is mounted there/ });
  assert.deepEqual(await mountPointsOf(other.device!), [bed.point]);
  await other.unmount(bed.point);
  assert.deepEqual(await bed.list(), []);
});

test("a write-protected target is a full one, and a full one leaves nothing behind", async (bed) => {
  const drive = await bed.drive({ sizeMib: 8 });
  await drive.plugIn({ readOnly: true });
  bed.start("target", { uuid: drive.uuid });
  await assert.rejects(bed.driver.upload(bed.upload("a", random(1000)), call()), { code: "no_space" });
  await bed.driver.shutdown();
  await drive.detach();
  await drive.plugIn();
  await assert.rejects(bed.driver.upload(bed.upload("a", random(16 * MIB)), call()), { code: "no_space" });
  await bed.driver.upload(bed.upload("b", random(1000)), call());
  await bed.driver.shutdown();
  await drive.detach();
  assert.deepEqual([...(await drive.files()).keys()], ["b"]);
});

test("one damaged file is told with the kernel's words, and the others are read", async (bed) => {
  const drive = await bed.drive();
  await drive.fill({ "bad.jpg": "b", "good.jpg": "g", "torn.jpg": random(MIB) });
  await tool("debugfs", "-w", "-R", "set_inode_field bad.jpg block[0] 0", drive.image);
  await tool("debugfs", "-w", "-R", "set_inode_field torn.jpg block[5] 4000000000", drive.image);
  await drive.plugIn();
  bed.start("source", { uuid: drive.uuid });
  const entries = new Map((await bed.list()).map((entry) => [entry.path, entry]));
  assert.match(entries.get("bad.jpg")?.problem ?? "", /the disk cannot read it; the kernel says: EXT4-fs error/);
  assert.equal(entries.get("good.jpg")?.problem, undefined);
  for (const [path, outcome] of [["good.jpg", "ok"], ["torn.jpg", "failed"]] as const) {
    const spoolFile = `${bed.base}/spool/${path}`;
    await Deno.writeFile(spoolFile, new Uint8Array(0));
    const reading = bed.download(entries.get(path)!, spoolFile);
    if (outcome === "ok") await reading;
    else await assert.rejects(reading, { code: outcome, message: /the kernel says: EXT4-fs error/ });
  }
});

/** Pulls it while the driver has a file of it open, which keeps the loop device from going before that is closed. */
async function pullNow(drive: LoopDrive): Promise<void> {
  await drive.pull({ isInUse: true });
}
