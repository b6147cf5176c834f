import assert from "node:assert/strict";
import type { Memory } from "./memory.ts";
import { Pool } from "./pool.ts";
import type { Session } from "./session.ts";

/** A server that takes every login, as far as a pool sees of it. */
function poolTo(roundTripMs: number, connections = 16): { pool: Pool; limits: number[] } {
  const limits: number[] = [];
  const pool = new Pool({
    connections,
    memory: { connectionsMax: undefined, isCrowded: false } as Memory,
    open: () => {
      const session = {
        roundTripMs,
        isClosed: false,
        control: { repliesCount: 0, isInStep: true },
        close: () => {},
        quit: () => Promise.resolve(),
      };
      return Promise.resolve(session as unknown as Session);
    },
    onLimit: (callsMax) => limits.push(callsMax),
  });
  return { pool, limits };
}

/** Gives the pool so many calls together, each of which ends when all that can run at once do so. */
async function useAll(pool: Pool, callsCount: number): Promise<number> {
  let running = 0;
  let most = 0;
  const calls = Array.from({ length: callsCount }, () =>
    pool.use(new AbortController().signal, async () => {
      most = Math.max(most, ++running);
      // A turn of the event loop for those that are being let in.
      await new Promise((resolve) => setTimeout(resolve, 30));
      running--;
    }));
  await Promise.all(calls);
  await pool.settled();
  return most;
}

/** A first transfer, which shows that connections can be made and how long the way is. */
async function begin(pool: Pool): Promise<void> {
  await pool.use(new AbortController().signal, () => Promise.resolve());
  pool.growForWaiting();
}

Deno.test("Pool uses all connections that it may where the way is long, and four where it is short", async () => {
  for (const [roundTripMs, most] of [[0.2, 4], [1000, 16]] as const) {
    const { pool, limits } = poolTo(roundTripMs);
    await begin(pool);
    await useAll(pool, 60);
    assert.equal(pool.limit, most);
    assert.equal(limits.at(-1), most);
    await pool.close();
  }
});

Deno.test("Pool makes no more connections than calls wait for, and none before a call has worked", async () => {
  const { pool, limits } = poolTo(1000);
  await useAll(pool, 5);
  assert.deepEqual(limits, [], "nothing is known of the server yet");
  await begin(pool);
  assert.deepEqual(limits, [], "nobody waits");
  await useAll(pool, 3);
  assert.equal(pool.limit, 3);
  await pool.close();
});

Deno.test("Pool keeps to the configured number of connections", async () => {
  const { pool } = poolTo(1000, 2);
  await begin(pool);
  await useAll(pool, 20);
  assert.equal(pool.limit, 2);
  await pool.close();
});

Deno.test("Pool makes no more connections where a call's time goes into moving bytes", async () => {
  const { pool } = poolTo(6);
  await pool.use(new AbortController().signal, () => new Promise((resolve) => setTimeout(resolve, 200)));
  pool.grow();
  await pool.settled();
  const waits = Array.from(
    { length: 20 },
    () => pool.use(new AbortController().signal, () => new Promise<void>((resolve) => setTimeout(resolve, 200))),
  );
  await Promise.all(waits);
  await pool.settled();
  assert.equal(pool.limit, 4);
  await pool.close();
});
