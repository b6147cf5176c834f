/** What a driver does to the spool file and says of it is checked, not believed. */
import assert from "node:assert/strict";
import { type DownloadParams, DriverError } from "../driver/mod.ts";
import { fileHistories, notedCount, notedFiles } from "../state/mod.ts";
import { Bed } from "../../tests/support/engine_bed.ts";
import { sha256, someBytes } from "../../tests/support/fake_device.ts";

Deno.test("Downloader.run() stops a driver that writes beyond the listed size and tells nothing", async () => {
  await using bed = new Bed({ download: { attempts: 2 } });
  bed.source.put("bad", someBytes(50_000));
  await bed.list();
  bed.source.afterwards = async ({ method, params, options }) => {
    if (method !== "download") return;
    const { spoolFile } = params as DownloadParams;
    // No end of its own and no word: only what the host sees on the disk ends it.
    while (options.signal?.aborted !== true) {
      Deno.writeFileSync(spoolFile, new Uint8Array(4096), { append: true });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new DriverError("cancelled", "Call is cancelled");
  };
  bed.start({ upload: false });
  await bed.until(() => bed.file("bad")["code"] === "changed");
  await bed.quiet();
  assert.match(String(bed.file("bad")["reason"]), /has more than the 50000 bytes that were listed/);
  assert.equal(bed.spoolBytes(), 0);
});

Deno.test("Downloader.run() drops what a driver wrote over the part that was held", async () => {
  await using bed = new Bed();
  const bytes = someBytes(400_000);
  bed.source.put("long", bytes);
  await bed.list();
  bed.source.afterwards = ({ method, params, nth }) => {
    if (method !== "download") return;
    const { spoolFile } = params as DownloadParams;
    if (nth === 0) {
      Deno.truncateSync(spoolFile, 200_000);
      throw new DriverError("unavailable", "Link lost");
    }
    if (nth === 1) {
      const file = Deno.openSync(spoolFile, { write: true });
      file.writeSync(new TextEncoder().encode("other bytes"));
      file.close();
    }
  };
  bed.start({ upload: false });
  await bed.untilWithoutBackoff(() => bed.file("long")["state"] === "spooled");
  assert.ok(
    bed.log.lines.some((line) => line.includes("Driver wrote over the 200000 bytes")),
    bed.log.lines.join("\n"),
  );
  assert.equal(bed.file("long")["sha256"], sha256(bytes));
});

Deno.test("Downloader.run() drops what a driver goes on writing to after it has answered", async () => {
  await using bed = new Bed();
  // Its hash takes longer than the disk's clock takes to tick.
  const bytes = someBytes(16_000_000);
  bed.source.put("bad", bytes);
  await bed.list();
  const lingering: Deno.FsFile[] = [];
  let writing: ReturnType<typeof setInterval> | undefined;
  bed.source.afterwards = ({ method, params, nth }) => {
    if (method !== "download" || nth > 0) return;
    const file = Deno.openSync((params as DownloadParams).spoolFile, { write: true });
    lingering.push(file);
    writing = setInterval(() => {
      file.seekSync(0, Deno.SeekMode.Start);
      file.writeSync(new TextEncoder().encode("other bytes"));
    }, 1);
  };
  bed.start({ upload: false });
  try {
    await bed.until(() => bed.file("bad")["code"] === "corrupt" || bed.file("bad")["state"] === "spooled");
  } finally {
    clearInterval(writing);
    for (const file of lingering) file.close();
  }
  assert.match(String(bed.file("bad")["reason"]), /was written to after its driver had answered/);
  await bed.untilWithoutBackoff(() => bed.file("bad")["state"] === "spooled");
  assert.equal(bed.file("bad")["sha256"], sha256(bytes));
});

Deno.test("Downloader.run() compares the MD5 that a source offers", async () => {
  await using bed = new Bed({ download: { attempts: 2 } });
  bed.source.put("bad", "content");
  await bed.list();
  bed.source.script = ({ method, params }) => {
    if (method !== "download") return;
    const { spoolFile, expect } = params as DownloadParams;
    Deno.writeTextFileSync(spoolFile, "content");
    return { sizeBytes: 7, fingerprint: expect, checksum: { algorithm: "md5", value: "00".repeat(16) } };
  };
  bed.start({ upload: false });
  await bed.exhaust();
  assert.deepEqual([bed.file("bad")["state"], bed.file("bad")["code"]], ["parked", "corrupt"]);
  assert.match(
    String(bed.file("bad")["reason"]),
    /^md5 of "bad" is 9a0364b9e99bb480dd25e1f0284c8555: its source says 0000/,
  );
});

Deno.test("Downloader.run() keeps what a driver says of the file itself, until it is fetched without", async () => {
  await using bed = new Bed();
  bed.source.put("cut", "content");
  bed.source.put("whole", "content");
  await bed.list();
  const note = "Log ends in the middle of a message";
  bed.source.script = ({ method, path, params }) => {
    if (method !== "download" || path !== "cut") return;
    const { spoolFile, expect } = params as DownloadParams;
    Deno.writeTextFileSync(spoolFile, "content");
    return { sizeBytes: 7, fingerprint: expect, note };
  };
  bed.start();
  await bed.until(() => bed.told("delivered").length === 2);
  await bed.quiet();
  await bed.stop();
  assert.deepEqual([bed.file("cut")["note"], bed.file("whole")["note"]], [note, null]);
  for (const name of ["downloaded", "delivered"]) {
    const told = bed.events.filter(({ event }) => event === name) as { path: string; note?: string }[];
    assert.deepEqual(told.map(({ path, note }) => [path, note]).sort(), [["cut", note], ["whole", undefined]]);
  }
  assert.deepEqual(notedFiles(bed.store).map(({ path, note }) => [path, note]), [["cut", note]]);
  assert.equal(notedCount(bed.store), 1);
  assert.equal(fileHistories(bed.store, [bed.job.id], "cut")[0]?.generations[0]?.note, note);
});
