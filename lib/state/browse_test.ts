import assert from "node:assert/strict";
import { join } from "node:path";
import { DriverError } from "../driver/mod.ts";
import type { BrowseQuery } from "../observe/mod.ts";
import { browseFiles } from "./browse.ts";
import { markDelivered, markDeliveryFailed, nextDeliveries } from "./deliveries.ts";
import { markDownloading, markFileFailed, markSpooled, nextFiles } from "./files.ts";
import { Listing } from "./listings.ts";
import { registerJob, registerSource } from "./registry.ts";
import { Store } from "./store.ts";

/** A store with the files of one job, in the order of `paths`. */
class Shelf implements Disposable {
  readonly #dir = Deno.makeTempDirSync({ prefix: "filesync-browse-" });
  readonly store = new Store(join(this.#dir, "state.db"));
  readonly #job;
  readonly #sourceId: number;

  constructor(paths: string[], job = "logs") {
    this.#job = registerJob(this.store, job, ["nas", "web"]);
    this.#sourceId = registerSource(this.store, this.#job.id, "drone1");
    const options = { jobId: this.#job.id, sourceId: this.#sourceId, nowMs: 1, settleMs: 0, precisionMs: 1 };
    const listing = new Listing(this.store, options);
    listing.sight(paths.map((path) => ({ path, kind: "file" as const, sizeBytes: 7, modifiedMs: 1_000 })));
    Array.from(listing.complete());
  }

  #file(path: string) {
    return nextFiles(this.store, this.#sourceId, "name", 1000).find((file) => file.path === path)!;
  }

  park(path: string): void {
    const error = new DriverError("failed", "card is broken", { hint: "Change it" });
    const failure = { attempts: 5, breaks: 0, bestBytes: 0, retryAtMs: 0, error };
    markFileFailed(this.store, this.#file(path).id, { state: "parked", ...failure });
  }

  spool(path: string): void {
    const file = this.#file(path);
    markDownloading(this.store, file.id, 1);
    markSpooled(this.store, file, { sizeBytes: 7, sha256: "aa", inode: 1, ctimeMs: 1, fingerprint: {} });
  }

  deliver(target: number, url?: string): void {
    for (const delivery of nextDeliveries(this.store, this.#job.targets[target]!.id, 100)) {
      markDelivered(this.store, delivery, {
        path: "on/target",
        sizeBytes: 7,
        verified: "size",
        ...(url ? { url } : {}),
      });
    }
  }

  refuse(target: number): void {
    const error = new DriverError("rejected", "too large");
    for (const { id } of nextDeliveries(this.store, this.#job.targets[target]!.id, 100)) {
      const failure = { attempts: 1, breaks: 0, bestBytes: 0, retryAtMs: 0, error };
      markDeliveryFailed(this.store, id, { state: "parked", started: false, ...failure });
    }
  }

  paths(query: Partial<BrowseQuery> = {}): string[] {
    return browseFiles(this.store, { limit: 10, scanMax: 100, ...query }).files.map(({ path }) => path);
  }

  [Symbol.dispose](): void {
    this.store.close();
    Deno.removeSync(this.#dir, { recursive: true });
  }
}

Deno.test("browseFiles() tells the newest files first, each with its deliveries", () => {
  using shelf = new Shelf(["a.ulg", "b.ulg"]);
  shelf.spool("a.ulg");
  shelf.deliver(1, "https://logs.example/plot?log=1");
  const { files, next } = browseFiles(shelf.store, { limit: 10, scanMax: 100 });
  assert.deepEqual(files.map(({ path, state }) => [path, state]), [["b.ulg", "found"], ["a.ulg", "spooled"]]);
  assert.equal(next, undefined);
  assert.equal(files[1]!.modified, "1970-01-01T00:00:01.000Z");
  assert.deepEqual(files[1]!.deliveries, [
    { target: "nas", state: "waiting" },
    { target: "web", state: "delivered", path: "on/target", url: "https://logs.example/plot?log=1" },
  ]);
});

Deno.test("browseFiles() finds a part of a path, whose signs mean themselves", () => {
  using shelf = new Shelf(["DCIM/IMG_1.JPG", "DCIM/IMGX1.JPG", "log%1.ulg", "log1.ulg"]);
  assert.deepEqual(shelf.paths({ text: "img_1" }), ["DCIM/IMG_1.JPG"]);
  assert.deepEqual(shelf.paths({ text: "log%" }), ["log%1.ulg"]);
  assert.deepEqual(shelf.paths({ text: "\\" }), []);
});

Deno.test("browseFiles() finds what needs a person: files and deliveries", () => {
  using shelf = new Shelf(["a", "b", "c", "d"]);
  shelf.park("b");
  shelf.spool("c");
  shelf.refuse(0);
  assert.deepEqual(shelf.paths({ state: "parked" }), ["c", "b"]);
  assert.deepEqual(shelf.paths({ state: "open" }), ["d", "c", "b", "a"]);
  assert.deepEqual(shelf.paths({ state: "delivered" }), []);
  assert.deepEqual(shelf.paths({ job: "another" }), []);
  const [file] = browseFiles(shelf.store, { limit: 10, scanMax: 100, state: "parked" }).files;
  assert.equal(file!.deliveries[0]!.reason, "too large");
});

Deno.test("browseFiles() goes on where the last page ended, with bounded reading", () => {
  const names = Array.from({ length: 25 }, (_, index) => `f${String(index).padStart(2, "0")}`);
  using shelf = new Shelf(names);
  for (const limits of [{ limit: 4, scanMax: 100 }, { limit: 100, scanMax: 3 }, { limit: 1, scanMax: 1 }]) {
    const seen: string[] = [];
    let before: number | undefined;
    for (let pages = 0; pages < 40; pages++) {
      const page = browseFiles(shelf.store, { ...limits, ...(before === undefined ? {} : { before }) });
      seen.push(...page.files.map(({ path }) => path));
      if (page.next === undefined) break;
      before = page.next;
    }
    assert.deepEqual(seen, names.toReversed(), JSON.stringify(limits));
  }
  const page = browseFiles(shelf.store, { limit: 5, scanMax: 10, text: "f00" });
  assert.deepEqual(page.files, []);
  assert.equal(typeof page.next, "number");
});
