import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Entry } from "../driver/mod.ts";
import { type FoundFile, Listing, newEntries } from "./listings.ts";
import { refetchFile } from "./files.ts";
import { registerJob, registerSource } from "./registry.ts";
import { shelveFile } from "./shelving.ts";
import { Store } from "./store.ts";

const RELIST = fileURLToPath(new URL("./_relist.ts", import.meta.url));

const file = (path: string, more: Partial<Entry> = {}): Entry => ({ path, kind: "file", sizeBytes: 10, ...more });

const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);

class Source implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "filesync-listing-" });
  readonly store = new Store(join(this.dir, "state.db"));
  readonly jobId = registerJob(this.store, "job1", ["nas"]).id;
  nowMs = 1000;
  settleMs = 0;
  precisionMs = 1;
  settling = 0;
  maxFirst: number | undefined;

  sourceId(deviceId = "card-a"): number {
    return registerSource(this.store, this.jobId, deviceId);
  }

  begin(deviceId?: string): Listing {
    const { nowMs, settleMs, precisionMs, jobId, store, maxFirst } = this;
    const first = maxFirst === undefined ? {} : { maxFirst };
    return new Listing(store, { jobId, sourceId: this.sourceId(deviceId), nowMs, settleMs, precisionMs, ...first });
  }

  /** One complete listing; paths that it brought to light, with their generation. */
  list(entries: Entry[], deviceId?: string): string[] {
    const listing = this.begin(deviceId);
    const found = listing.sight(entries);
    this.gone = [...listing.complete()].flat();
    this.settling = listing.settling;
    return found.map(({ path, generation }: FoundFile) => `${path}#${generation}`);
  }
  gone: string[] = [];

  states(): Record<string, string> {
    return Object.fromEntries(
      this.store.all<{ path: string; generation: number; state: string }>("SELECT * FROM file ORDER BY id")
        .map(({ path, generation, state }) => [`${path}#${generation}`, state]),
    );
  }

  set(path: string, state: string, more = ""): void {
    this.store.write(() =>
      this.store.run(`UPDATE file SET state = ?${more} WHERE path = ? AND latest = 1`, state, path)
    );
  }

  [Symbol.dispose](): void {
    this.store.close();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

Deno.test("Listing finds a file once", () => {
  using source = new Source();
  assert.deepEqual(source.list([file("a"), file("b")]), ["a#1", "b#1"]);
  assert.deepEqual(source.list([file("a"), file("b")]), []);
  for (const state of ["downloading", "spooled", "done", "parked"]) {
    source.set("a", state);
    assert.deepEqual(source.list([file("a"), file("b")]), [], state);
    assert.equal(source.states()["a#1"], state);
  }
});

const checksum = (value: string, algorithm = "md5") => ({ checksum: { algorithm, value } });
const fingerprints: [string, Partial<Entry>, Partial<Entry>, number, boolean][] = [
  ["size", { sizeBytes: 10 }, { sizeBytes: 11 }, 1, true],
  ["size zero", { sizeBytes: 0 }, { sizeBytes: 1 }, 1, true],
  ["time by 1 ms at 1 ms", { modifiedMs: 5000 }, { modifiedMs: 5001 }, 1, true],
  ["time by 1 ms at 2 s", { modifiedMs: 5000 }, { modifiedMs: 5001 }, 2000, false],
  ["time by 1999 ms at 2 s", { modifiedMs: 5000 }, { modifiedMs: 6999 }, 2000, false],
  ["time by 2 s at 2 s", { modifiedMs: 5000 }, { modifiedMs: 7000 }, 2000, true],
  ["time by 59 s at 60 s", { modifiedMs: 60_000 }, { modifiedMs: 119_000 }, 60_000, false],
  ["time back by 60 s at 60 s", { modifiedMs: 120_000 }, { modifiedMs: 60_000 }, 60_000, true],
  ["etag", { etag: "x" }, { etag: "y" }, 1, true],
  ["etag that looks like a number", { etag: "10" }, { etag: "10.0" }, 1, true],
  ["checksum", checksum("aa"), checksum("bb"), 1, true],
  ["checksum by another algorithm", checksum("aa"), checksum("bb", "sha1"), 1, false],
  ["a field that is not known any more", { modifiedMs: 5 }, {}, 1, false],
  ["a field that was not known", {}, { etag: "x", modifiedMs: 5 }, 1, false],
  ["nothing", { modifiedMs: 5, etag: "x" }, { modifiedMs: 5, etag: "x" }, 1, false],
];
for (const [name, before, after, precisionMs, isNew] of fingerprints) {
  Deno.test(`Listing takes a change of ${name} for ${isNew ? "a new generation" : "the same file"}`, () => {
    using source = new Source();
    source.precisionMs = precisionMs;
    source.list([file("a", before)]);
    source.set("a", "done");
    const { store } = source;
    const fresh = newEntries(store, source.sourceId(), precisionMs, [file("a", after)]);
    assert.deepEqual([...fresh.values()], isNew ? ["changed"] : []);
    assert.deepEqual(source.list([file("a", after)]), isNew ? ["a#2"] : []);
    if (isNew) assert.equal(source.states()["a#1"], "done", "the older generation stays what it is");
  });
}

Deno.test("Listing compares times at the coarser of both precisions", () => {
  using source = new Source();
  source.precisionMs = 60_000;
  source.list([file("a", { modifiedMs: 120_000 })]);
  source.set("a", "done");
  source.precisionMs = 1;
  assert.deepEqual(source.list([file("a", { modifiedMs: 120_500 })]), []);
  assert.deepEqual(source.list([file("a", { modifiedMs: 180_000 })]), ["a#2"]);
});

Deno.test("Listing takes a file only when it was equal over two listings at least settle apart", () => {
  using source = new Source();
  source.settleMs = 5000;
  assert.deepEqual([source.list([file("a")]), source.settling], [[], 1]);
  source.nowMs += 4999;
  assert.deepEqual([source.list([file("a")]), source.settling], [[], 1]);
  source.nowMs += 1;
  assert.deepEqual([source.list([file("a")]), source.settling], [["a#1"], 0]);
});

Deno.test("Listing leaves a growing file alone, however long it grows", () => {
  using source = new Source();
  source.settleMs = 5000;
  for (let size = 1; size <= 50; size++) {
    assert.deepEqual(source.list([file("a", { sizeBytes: size })]), []);
    source.nowMs += 10_000;
  }
  assert.deepEqual(source.list([file("a", { sizeBytes: 50 })]), ["a#1"]);
});

Deno.test("Listing settles a change of a known file too", () => {
  using source = new Source();
  source.list([file("a")]);
  source.set("a", "done");
  source.settleMs = 5000;
  assert.deepEqual(source.list([file("a", { sizeBytes: 11 })]), []);
  source.nowMs += 5000;
  assert.deepEqual(source.list([file("a", { sizeBytes: 11 })]), ["a#2"]);
});

Deno.test("Listing starts the wait anew when a settling file was away in between", () => {
  using source = new Source();
  source.settleMs = 5000;
  source.list([file("a")]);
  source.nowMs += 2000;
  source.list([]);
  source.nowMs += 4000;
  assert.deepEqual(source.list([file("a")]), []);
});

Deno.test("Listing calls gone only what a complete listing missed and what is not in the spool", () => {
  using source = new Source();
  source.list(["found", "parked", "downloading", "spooled", "done"].map((path) => file(path)));
  for (const path of ["parked", "downloading"]) source.set(path, path);
  for (const path of ["spooled", "done"]) source.set(path, path, ", sha256 = '00'");
  source.begin().sight([file("new")]);
  assert.equal(source.states()["found#1"], "found", "a listing that failed says nothing");
  source.list([file("new")]);
  assert.deepEqual(source.gone.sort(), ["found", "parked"]);
  assert.deepEqual(source.states(), {
    "found#1": "gone",
    "parked#1": "gone",
    "downloading#1": "downloading",
    "spooled#1": "spooled",
    "done#1": "done",
    "new#1": "found",
  });
  source.list([file("new")]);
  assert.deepEqual(source.gone, [], "told once");
});

Deno.test("Listing finds again what was gone, with its count of changed readings only", () => {
  using source = new Source();
  source.list([file("a"), file("b")]);
  source.set("a", "gone", ", attempts = 2, code = 'changed'");
  source.set("b", "gone", ", attempts = 2, code = 'not_found'");
  assert.deepEqual(source.list([file("a"), file("b")]), ["a#1", "b#1"]);
  const attempts = source.store.all<{ attempts: number }>("SELECT attempts FROM file ORDER BY path");
  assert.deepEqual(attempts.map((row) => row.attempts), [2, 0]);
});

Deno.test("Listing supersedes what was never fetched of an older generation", () => {
  using source = new Source();
  source.list([file("parked"), file("found"), file("downloading")]);
  source.set("parked", "parked");
  source.set("downloading", "downloading");
  source.list([
    file("parked", { sizeBytes: 11 }),
    file("found", { sizeBytes: 11 }),
    file("downloading", { sizeBytes: 11 }),
  ]);
  assert.deepEqual(source.states(), {
    "parked#1": "gone",
    "found#1": "gone",
    "downloading#1": "downloading",
    "parked#2": "found",
    "found#2": "found",
    "downloading#2": "found",
  });
});

Deno.test("Listing misses nothing that leaves the spool while it runs, and finds it in the next one", () => {
  using source = new Source();
  source.list([file("shelved"), file("damaged"), file("older")]);
  for (const name of ["shelved", "damaged"]) source.set(name, "spooled", ", sha256 = 'x'");
  source.set("older", "done", ", sha256 = 'x'");
  const ids = source.store.all<{ id: number }>("SELECT id FROM file ORDER BY id").map(({ id }) => id);
  const listing = source.begin();
  listing.sight([file("shelved"), file("damaged"), file("older")]);
  shelveFile(source.store, ids[0]!);
  refetchFile(source.store, ids[1]!, "Spool file is damaged");
  source.set("older", "found", ", sha256 = NULL, code = 'lost'");
  assert.deepEqual([...listing.complete()].flat(), []);
  assert.deepEqual(source.states(), { "shelved#1": "found", "damaged#1": "found", "older#1": "found" });
  source.list([file("shelved")]);
  assert.deepEqual(source.states(), { "shelved#1": "found", "damaged#1": "parked", "older#1": "parked" });
});

Deno.test("Listing parks what left the spool unfinished when its source has other content, or nothing, now", () => {
  using source = new Source();
  source.list([file("changed"), file("gone")]);
  for (const name of ["changed", "gone"]) {
    source.set(name, "spooled", ", sha256 = 'x'");
    const { id } = source.store.get<{ id: number }>("SELECT id FROM file WHERE path = ?", name)!;
    shelveFile(source.store, id);
  }
  assert.deepEqual(source.list([file("changed", { sizeBytes: 11 })]), ["changed#2"]);
  assert.deepEqual(source.states(), { "changed#1": "parked", "gone#1": "parked", "changed#2": "found" });
  const told = source.store.all<{ reason: string; hint: string }>(
    "SELECT reason, hint FROM file WHERE state = 'parked' ORDER BY id",
  );
  assert.match(told[0]!.reason, /before all targets had it, and the source has other content now/);
  assert.match(told[1]!.reason, /before all targets had it, and the source has it no more/);
  assert.ok(told.every(({ hint }) => hint.includes("filesync forget")));
  source.store.write(() => source.store.run("UPDATE file SET changed_ms = 1"));
  source.list([file("changed", { sizeBytes: 11 })]);
  assert.equal(
    source.store.get("SELECT 1 FROM file WHERE changed_ms > 1"),
    undefined,
    "a later listing changes nothing",
  );
});

Deno.test("Listing parks a name with a problem once, and never calls it gone while it is listed", () => {
  using source = new Source();
  const bad = file("bad\ufffd", { problem: "name is not valid UTF-8" });
  assert.deepEqual(source.list([bad]), ["bad\ufffd#1"]);
  for (let n = 0; n < 3; n++) assert.deepEqual([source.list([bad]), source.gone], [[], []]);
  assert.equal(source.states()["bad\ufffd#1"], "parked");
  source.list([]);
  assert.deepEqual(source.gone, ["bad\ufffd"]);
  source.list([bad]);
  assert.equal(source.states()["bad\ufffd#1"], "parked", "it came back as it was");
});

Deno.test("Listing takes a name that is listed twice once", () => {
  using source = new Source();
  const listing = source.begin();
  assert.equal(listing.sight([file("a"), file("a"), file("a", { sizeBytes: 99 })]).length, 1);
  assert.equal(listing.sight([file("a")]).length, 0);
  Array.from(listing.complete());
  assert.deepEqual(source.states(), { "a#1": "found" });
});

Deno.test("Listing keeps two devices with equal paths apart", () => {
  using source = new Source();
  assert.deepEqual(source.list([file("a")], "card-a"), ["a#1"]);
  assert.deepEqual(source.list([file("a"), file("b")], "card-b"), ["a#1", "b#1"]);
  source.list([], "card-b");
  assert.deepEqual(source.gone, ["a", "b"]);
  const states = source.store.all<{ state: string }>("SELECT state FROM file ORDER BY id").map((row) => row.state);
  assert.deepEqual(states, ["found", "gone", "gone"]);
});

Deno.test("Listing takes hostile names as they are, and each of its own", () => {
  using source = new Source();
  const names = ["'; DROP TABLE file; --", "a\nb", 'q"q', "%", "_", "A", "a", "ä", "a\u0308", "x".repeat(4000), "🚁"];
  assert.equal(source.list(names.map((name) => file(name))).length, names.length);
  assert.deepEqual(source.list(names.map((name) => file(name))), []);
});

Deno.test("Listing ends in steps, each a change of its own: thousands of files that are gone hold up nobody", () => {
  using source = new Source();
  const all = Array.from({ length: 3500 }, (_, n) => file(`log_${n}.ulg`));
  source.list(all);
  const listing = source.begin();
  listing.sight(all.slice(0, 10));
  const steps: number[] = [];
  for (const gone of listing.complete()) {
    steps.push(gone.length);
    source.store.flush();
    assert.equal(Object.values(source.states()).filter((state) => state === "gone").length, sum(steps));
  }
  assert.deepEqual(steps, [990, 1000, 1000, 500]);
  // One that is cut short leaves the rest to the next listing.
  source.list(all);
  const cut = source.begin();
  cut.complete().next();
  assert.equal(source.list([]).length, 0);
  assert.equal(source.gone.length, 2500);
});

Deno.test("Listing ends a first contact in steps: the newest are kept, and a cut one is done again", () => {
  using source = new Source();
  source.maxFirst = 7;
  const all = Array.from({ length: 2500 }, (_, n) => file(`log_${n}.ulg`, { modifiedMs: n }));
  const begin = () => {
    const listing = source.begin();
    listing.sight(all);
    Array.from(listing.complete());
    return listing;
  };
  const cut = begin();
  assert.equal(cut.endFirstContact().next().value, 1000);
  assert.ok(cut.isFirstContact, "nothing is fetched yet");
  const steps = [...begin().endFirstContact()];
  assert.equal(sum(steps), 1493);
  assert.ok(steps.length > 1 && steps.every((count) => count <= 1000), String(steps));
  const found = Object.entries(source.states()).filter(([, state]) => state === "found").map(([path]) => path);
  assert.deepEqual(found.sort(), all.slice(-7).map(({ path }) => `${path}#1`).sort());
  assert.deepEqual([begin().isFirstContact, [...begin().endFirstContact()]], [false, []]);
});

Deno.test("Listing of 100,000 known files writes nothing and keeps no more memory than a batch", async () => {
  using source = new Source();
  const args = ["run", "-A", "--no-prompt", RELIST, join(source.dir, "other.db")];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { first, queued, done, writtenBytes, grownBytes } = JSON.parse(new TextDecoder().decode(stdout));
  assert.deepEqual(first, { found: 100_000, gone: 0 });
  // Once by a query in the square of what is found, which took three quarters of an hour.
  assert.deepEqual(queued, { found: 0, gone: 0 }, "a long queue is listed again");
  assert.deepEqual(done, { found: 0, gone: 0 });
  assert.ok(writtenBytes <= 64 * 1024, `${writtenBytes} bytes written`);
  assert.ok(grownBytes < 100 * 2 ** 20, `${grownBytes} bytes more in memory`);
});
