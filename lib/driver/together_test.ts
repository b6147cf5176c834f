import assert from "node:assert/strict";
import { Together } from "./together.ts";

/** Runs that end when the test says so. */
function bench(most = Infinity) {
  const runs: { items: string[]; end: () => void }[] = [];
  const together = new Together<string>((items) => {
    const { promise, resolve } = Promise.withResolvers<PromiseSettledResult<unknown>[]>();
    const results = items.map((item): PromiseSettledResult<unknown> =>
      item === "bad" ? { status: "rejected", reason: new Error("No") } : { status: "fulfilled", value: undefined }
    );
    runs.push({ items, end: () => resolve(results) });
    return promise;
  }, most);
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { runs, together, turn };
}

Deno.test("Together does at once what came in one turn of the event loop", async () => {
  const { runs, together, turn } = bench();
  const all = Promise.all([together.add("a"), together.add("b"), together.add("c")]);
  await turn();
  assert.deepEqual(runs.map(({ items }) => items), [["a", "b", "c"]]);
  runs[0]!.end();
  await all;
});

Deno.test("Together never counts a run that was under way for who came later", async () => {
  const { runs, together, turn } = bench();
  const first = together.add("a");
  await turn();
  let isDone = false;
  const second = together.add("b").then(() => isDone = true);
  runs[0]!.end();
  await first;
  await turn();
  await turn();
  assert.deepEqual([isDone, runs.map(({ items }) => items)], [false, [["a"], ["b"]]]);
  runs[1]!.end();
  await second;
});

Deno.test("Together tells a failure to the one whose it is, and goes on", async () => {
  const { runs, together, turn } = bench();
  const results = Promise.allSettled([together.add("a"), together.add("bad"), together.add("c")]);
  await turn();
  runs[0]!.end();
  assert.deepEqual((await results).map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
  await turn();
  const later = together.add("later");
  await turn();
  runs[1]!.end();
  await later;
});

Deno.test("Together takes no more than it may into one run", async () => {
  const { runs, together, turn } = bench(2);
  const all = Promise.all(["a", "b", "c"].map((item) => together.add(item)));
  await turn();
  assert.deepEqual(runs[0]!.items, ["a", "b"]);
  runs[0]!.end();
  await turn();
  await turn();
  assert.deepEqual(runs[1]!.items, ["c"]);
  runs[1]!.end();
  await all;
});
