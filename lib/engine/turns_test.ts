import assert from "node:assert/strict";
import { type PooledTurn, TurnPool, type TurnTaker } from "./turns.ts";

class Taker implements TurnTaker<PooledTurn> {
  isReady = true;
  callsMax: number;
  callsAhead: number;
  constructor(callsMax: number, callsAhead = 0) {
    this.callsMax = callsMax;
    this.callsAhead = callsAhead;
  }
  newTurn(alone: boolean): PooledTurn {
    return { wantsAlone: alone, shared: false };
  }
}

/** Asks, and tells by `got` what was handed out so far. */
function asker(pool: TurnPool) {
  const got: string[] = [];
  const turns = new Map<string, PooledTurn>();
  const abort = new AbortController();
  return {
    got,
    turns,
    abort,
    async ask(taker: Taker, user: string, name: string, alone = false, ahead = false): Promise<void> {
      pool.ask(taker, user, { signal: abort.signal, alone, ahead }).then((turn) => {
        got.push(name);
        turns.set(name, turn);
      }, () => got.push(`${name} gave up`));
      await Promise.resolve();
      await Promise.resolve();
    },
    async end(name: string, pluginDied = false): Promise<void> {
      pool.end(turns.get(name)!, { pluginDied });
      pool.serve();
      await Promise.resolve();
      await Promise.resolve();
    },
  };
}

Deno.test("TurnPool counts the calls of both roles together, and the smaller limit holds", async () => {
  const pool = new TurnPool();
  const [source, target] = [new Taker(3), new Taker(2)];
  pool.join(source);
  pool.join(target);
  const { ask, end, got } = asker(pool);
  for (const name of ["s1", "s2", "s3"]) await ask(source, "job source", name);
  await ask(target, "job target", "t1");
  assert.deepEqual(got, ["s1", "s2"]);
  await end("s1");
  assert.deepEqual(got, ["s1", "s2", "t1"], "the other role's turn comes before more of the first");
  target.callsMax = 3;
  await end("t1");
  assert.deepEqual(got, ["s1", "s2", "t1", "s3"]);
});

Deno.test("TurnPool lets nothing of either role run beside a turn that wants to be alone", async () => {
  const pool = new TurnPool();
  const [source, target] = [new Taker(4), new Taker(4)];
  pool.join(source);
  pool.join(target);
  const { ask, end, got } = asker(pool);
  await ask(source, "a", "s1");
  await ask(target, "b", "alone", true);
  await ask(source, "c", "s2");
  assert.deepEqual(got, ["s1"], "who comes later does not overtake it for ever");
  await end("s1");
  assert.deepEqual(got, ["s1", "alone"]);
  await end("alone");
  assert.deepEqual(got, ["s1", "alone", "s2"]);
});

Deno.test("TurnPool serves a role while the other one is closed, with its own limit", async () => {
  const pool = new TurnPool();
  const [source, target] = [new Taker(2), new Taker(1)];
  pool.join(source);
  pool.join(target);
  target.isReady = false;
  const { ask, got } = asker(pool);
  await ask(target, "a", "t1");
  await ask(source, "b", "s1");
  await ask(source, "b", "s2");
  assert.deepEqual(got, ["s1", "s2"]);
});

Deno.test("TurnPool tells the calls of both roles that a dead plugin was not theirs alone", async () => {
  const pool = new TurnPool();
  const [source, target] = [new Taker(2), new Taker(2)];
  pool.join(source);
  pool.join(target);
  const { ask, end, turns } = asker(pool);
  await ask(source, "a", "s1");
  await ask(target, "b", "t1");
  await end("s1", true);
  assert.deepEqual([turns.get("s1")?.shared, turns.get("t1")?.shared], [true, true]);
});

Deno.test("TurnPool goes on when one who waited to be alone gives up", async () => {
  const pool = new TurnPool();
  const source = new Taker(2);
  pool.join(source);
  const first = asker(pool);
  const lonely = asker(pool);
  await first.ask(source, "a", "s1");
  await lonely.ask(source, "b", "alone", true);
  await first.ask(source, "c", "s2");
  assert.deepEqual(first.got, ["s1"]);
  lonely.abort.abort();
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual([first.got, lonely.got], [["s1", "s2"], ["alone gave up"]]);
});

Deno.test("TurnPool hands out turns ahead of callsMax only for what may wait in the driver", async () => {
  const pool = new TurnPool();
  const taker = new Taker(1, 2);
  pool.join(taker);
  const { ask, got, end } = asker(pool);
  await ask(taker, "a", "first", false, true);
  await ask(taker, "a", "second", false, true);
  await ask(taker, "a", "third", false, true);
  await ask(taker, "a", "fourth", false, true);
  assert.deepEqual(got, ["first", "second", "third"]);
  await ask(taker, "a", "large");
  await end("first");
  assert.deepEqual(got, ["first", "second", "third", "fourth"]);
  await end("second");
  await end("third");
  // One is under way still, and this one must not wait behind it in the driver.
  assert.deepEqual(got, ["first", "second", "third", "fourth"]);
  await end("fourth");
  assert.deepEqual(got, ["first", "second", "third", "fourth", "large"]);
});

Deno.test("TurnPool gives nothing ahead while a call runs alone", async () => {
  const pool = new TurnPool();
  const taker = new Taker(4, 4);
  pool.join(taker);
  const { ask, got, end } = asker(pool);
  await ask(taker, "a", "suspect", true);
  await ask(taker, "a", "small", false, true);
  assert.deepEqual(got, ["suspect"]);
  await end("suspect");
  assert.deepEqual(got, ["suspect", "small"]);
});
