/** Filesystems that cards come with, by Debian's kernel and by FUSE: what they cannot do, and what is made of it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Call, DriverError, Entry, Role } from "../../lib/driver/mod.ts";
import { diskConformance, FAT_NAMES } from "../../tests/support/disk_conformance.ts";
import { isInGuest } from "../../tests/support/guest.ts";
import { type Filesystem, LoopDrive, tool } from "../../tests/support/loop_drive.ts";
import { DiskDriver } from "./driver.ts";
import { look } from "./libc.ts";

/** What a filesystem may break: a process of its own for each case takes its time in a guest. */
const FILE_CASES = /odd names|that is cancelled|a cancelled one|keeps the modification|name that a rename/;

/** A driver in this process with one drive. */
class Bed implements AsyncDisposable {
  readonly base = Deno.makeTempDirSync({ prefix: "filesync-disk-" });
  readonly driver = new DiskDriver();
  readonly drive: LoopDrive;
  readonly point = `${this.base}/mount`;
  /** What the driver said that its device is. */
  readonly ids: string[] = [];

  private constructor(drive: (base: string) => LoopDrive) {
    this.drive = drive(this.base);
  }

  /** @param named by what the driver knows its drive; by default the UUID of the one that is made */
  static async open(
    filesystem: Filesystem,
    role: Role,
    files?: Record<string, string | Uint8Array>,
    named?: Record<string, unknown>,
  ): Promise<Bed> {
    const dir = await Deno.makeTempDir({ prefix: "filesync-image-" });
    const drive = await LoopDrive.make(dir, { filesystem, sizeMib: 64 });
    await drive.fill(files ?? {});
    await drive.plugIn();
    const bed = new Bed(() => drive);
    bed.driver.initialize({
      protocol: 1,
      device: "drive",
      role,
      args: { ...(named ?? { uuid: drive.uuid }), mount_point: bed.point },
      spoolDir: bed.base,
      stateDir: bed.base,
      logLevel: "info",
    }, {
      state: ({ deviceId }) => {
        if (deviceId !== undefined) bed.ids.push(deviceId);
      },
      log: () => {},
    });
    return bed;
  }

  async list(): Promise<Map<string, Entry>> {
    const found = new Map<string, Entry>();
    await this.driver.list({ directory: "", recursive: true }, {
      ...call(),
      entries: (entries) => {
        for (const entry of entries) if (entry.kind === "file") found.set(entry.path, entry);
        return Promise.resolve();
      },
    });
    return found;
  }

  async upload(path: string, content: string, modifiedMs?: number) {
    const bytes = new TextEncoder().encode(content);
    const spoolFile = `${this.base}/${crypto.randomUUID()}`;
    await Deno.writeFile(spoolFile, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const given = { spoolFile, path, sizeBytes: bytes.length, sha256, onExisting: "rename" as const };
    return await this.driver.upload(modifiedMs === undefined ? given : { ...given, modifiedMs }, call());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.shutdown();
    await this.drive[Symbol.asyncDispose]();
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

/** The line of the mount table for a mount point. */
async function mountLine(point: string): Promise<string> {
  const lines = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n");
  return lines.find((line) => line.includes(` ${point} `)) ?? "";
}

if (isInGuest(import.meta.url, "disk: FAT, exFAT and NTFS drives, by a kernel that knows FAT and by FUSE")) {
  // Loads the C library, which stays, before a test could be blamed for it.
  look("/");

  diskConformance("vfat", { keepsTime: true, names: FAT_NAMES, only: FILE_CASES });

  for (const filesystem of ["vfat", "exfat", "ntfs"] as const) {
    Deno.test(`${filesystem} is mounted read-only without rights, and for writing when a copy is removed`, async () => {
      await using bed = await Bed.open(filesystem, "source", { "a.jpg": "picture", "día/Größe.jpg": "another" });
      assert.deepEqual([...(await bed.list()).keys()].sort(), ["a.jpg", "día/Größe.jpg"]);
      assert.match(await mountLine(bed.point), / ro,nosuid,nodev,noexec/);
      await bed.driver.remove({ path: "a.jpg", expect: { sizeBytes: 7 } });
      assert.match(await mountLine(bed.point), / rw,nosuid,nodev,noexec/);
      assert.deepEqual([...(await bed.list()).keys()], ["día/Größe.jpg"]);
      await bed.driver.shutdown();
      await bed.drive.detach();
      assert.deepEqual([...(await bed.drive.files()).keys()], ["día/Größe.jpg"]);
    });

    Deno.test(`${filesystem} takes uploads, and says of a name that it cannot hold that it will never take it`, async () => {
      await using bed = await Bed.open(filesystem, "target");
      assert.equal((await bed.upload("day 1/Größe 日本.jpg", "picture")).path, "day 1/Größe 日本.jpg");
      if (filesystem === "ntfs") return;
      for (const path of ["12:30.jpg", "who?/a.jpg", 'a "b".jpg', "end./a.jpg"]) {
        await assert.rejects(
          bed.upload(path, "picture"),
          { code: "rejected", message: /FAT: it refuses the name/ },
          path,
        );
      }
      assert.deepEqual([...(await bed.list()).keys()], ["day 1/Größe 日本.jpg"]);
    });
  }

  for (const filesystem of ["vfat", "exfat"] as const) {
    Deno.test(`${filesystem} takes names that differ by case only beside one another`, async () => {
      await using bed = await Bed.open(filesystem, "target");
      const receipts = await Promise.all([bed.upload("IMG.jpg", "one"), bed.upload("img.JPG", "another")]);
      assert.deepEqual(new Set(receipts.map(({ path }) => path.toLowerCase())), new Set(["img.jpg", "img~2.jpg"]));
      assert.equal((await bed.list()).size, 2);
      // The same bytes under the other spelling are there already.
      assert.equal((await bed.upload("IMG.JPG", "one")).path.toLowerCase().replace("~2", ""), "img.jpg");
    });
  }

  Deno.test("a partition that is known by its PARTUUID alone is read", async () => {
    const dir = await Deno.makeTempDir({ prefix: "filesync-image-" });
    await using drive = await LoopDrive.make(dir, { filesystem: "vfat", sizeMib: 64, partitioned: true });
    await drive.fill({ "a.jpg": "picture" });
    await drive.plugIn();
    await using bed = await Bed.open("vfat", "source", { "b.jpg": "of another" }, { partuuid: drive.partuuid });
    assert.deepEqual([...(await bed.list()).keys()], ["a.jpg"]);
    await bed.driver.shutdown();
    assert.deepEqual(bed.ids, [drive.uuid]);
  });

  Deno.test("a time that FAT rounds to two seconds stays the same from listing to listing and mount to mount", async () => {
    await using bed = await Bed.open("vfat", "target");
    const atMs = 1_700_000_001_500;
    await bed.upload("a.jpg", "picture", atMs);
    const first = (await bed.list()).get("a.jpg")!.modifiedMs!;
    assert.ok(Math.abs(first - atMs) <= 2000, `${first}`);
    await bed.driver.shutdown();
    assert.equal((await bed.list()).get("a.jpg")!.modifiedMs, first);
  });

  Deno.test("a file over 4 GiB is refused by FAT before a byte is moved", async () => {
    await using bed = await Bed.open("vfat", "target");
    const spoolFile = `${bed.base}/large`;
    const sizeBytes = 2 ** 32;
    await Deno.writeFile(spoolFile, new Uint8Array(0));
    await Deno.truncate(spoolFile, sizeBytes);
    const params = { spoolFile, path: "a.mov", sizeBytes, sha256: "0".repeat(64), onExisting: "rename" as const };
    const throttle = () => Promise.reject(new Error("Bytes are moved"));
    await assert.rejects(bed.driver.upload(params, { ...call(), throttle }), {
      code: "rejected",
      message: /4294967296 bytes.*FAT takes files of less than 4 GiB/,
    });
    assert.equal((await bed.list()).size, 0);
  });

  Deno.test("a FAT drive that was pulled while mounted for writing goes on as it is", async () => {
    await using bed = await Bed.open("vfat", "target");
    await bed.upload("a.jpg", "picture");
    await bed.drive.pull();
    await assert.rejects(bed.upload("b.jpg", "another"), { code: "unavailable" });
    await bed.drive.plugIn();
    await bed.upload("b.jpg", "another");
    assert.deepEqual([...(await bed.list()).keys()].sort(), ["a.jpg", "b.jpg"]);
  });

  Deno.test("one damaged file on FAT is told with the kernel's words, and the others are read", async () => {
    const files = { "bad.mov": new Uint8Array(1024 * 1024), "good.jpg": "picture" };
    await using bed = await Bed.open("vfat", "source", files);
    await bed.drive.detach();
    await cutChain(bed.drive.image);
    await bed.drive.plugIn();
    const entries = await bed.list();
    for (const [path, isGood] of [["bad.mov", false], ["good.jpg", true]] as const) {
      const spoolFile = `${bed.base}/${path}`;
      await Deno.writeFile(spoolFile, new Uint8Array(0));
      const { sizeBytes, modifiedMs } = entries.get(path)!;
      const expect = { sizeBytes: sizeBytes!, modifiedMs: modifiedMs! };
      const reading = bed.driver.download({ path, spoolFile, offsetBytes: 0, expect }, call());
      if (isGood) await reading;
      else await assert.rejects(reading, { code: "failed", message: /the kernel says: FAT-fs \(loop\d+\): error/ });
    }
  });

  Deno.test("a filesystem that the system does not know is told with the package to install", async () => {
    await using bed = await Bed.open("exfat", "source");
    // As on a system without the package; this root is a copy.
    await Deno.remove("/sbin/mount.exfat-fuse");
    await assert.rejects(bed.list(), (error: DriverError) => {
      assert.match(error.message, /unknown filesystem type 'exfat'/);
      assert.deepEqual([error.code, error.details.hint], ["unavailable", "sudo apt install exfat-fuse"]);
      return true;
    });
    // For `filesync doctor`.
    const findings = await bed.driver.check();
    assert.deepEqual(findings.map(({ name, ok }) => [name, ok]), [["drive", true], ["mounting", true], [
      "mount",
      false,
    ]]);
    assert.equal(findings[2]!.remedy, "sudo apt install exfat-fuse");
  });
}

/** Frees a cluster in the middle of the first long chain of a FAT32 image, in both tables. */
async function cutChain(image: string): Promise<void> {
  const bytes = await Deno.readFile(image);
  const view = new DataView(bytes.buffer);
  const sectorBytes = view.getUint16(11, true);
  const tableBytes = view.getUint32(36, true) * sectorBytes;
  const atTable = view.getUint16(14, true) * sectorBytes;
  const next = (cluster: number) => view.getUint32(atTable + 4 * cluster, true) & 0x0fffffff;
  for (let cluster = 3; cluster < tableBytes / 4; cluster++) {
    if (next(cluster) !== cluster + 1 || next(cluster + 1) !== cluster + 2) continue;
    for (const table of [atTable, atTable + tableBytes]) view.setUint32(table + 4 * (cluster + 100), 0, true);
    break;
  }
  await Deno.writeFile(image, bytes);
  await tool("sync", image);
}
