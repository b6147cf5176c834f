import assert from "node:assert/strict";
import { LoginGuard } from "./login_guard.ts";

const PILOT = { user: "pilot", passwd: "secret", readOnly: false };
const GUEST = { user: "guest", passwd: "look", readOnly: true };

Deno.test("LoginGuard takes the right pair only", async () => {
  const guard = new LoginGuard([PILOT, GUEST], 100);
  assert.equal(await guard.check("a", "pilot", "secret"), PILOT);
  assert.equal(await guard.check("a", "guest", "look"), GUEST);
  for (
    const [user, passwd] of [["pilot", ""], ["", "secret"], ["pilot", "Secret"], ["pilots", "ecret"], [
      "guest",
      "secret",
    ]] as const
  ) {
    assert.equal(await guard.check("a", user, passwd), undefined);
  }
});

Deno.test("LoginGuard doubles the wait with each wrong password of an address, up to a bound, and forgives after a login", async () => {
  const guard = new LoginGuard([PILOT, GUEST], 100);
  const waits: number[] = [guard.delayMs("a")];
  for (let n = 0; n < 7; n++) {
    await guard.check("a", "pilot", "guess");
    waits.push(guard.delayMs("a"));
  }
  assert.deepEqual(waits, [0, 100, 200, 400, 800, 1600, 1600, 1600]);
  assert.equal(guard.delayMs("b"), 0);
  await guard.check("a", "pilot", "secret");
  assert.equal(guard.delayMs("a"), 0);
});

Deno.test("LoginGuard lets passwords that come at once wait one after another", async () => {
  const guard = new LoginGuard([PILOT], 10_000);
  assert.equal(guard.turnMs("a"), 0);
  await guard.check("a", "pilot", "guess");
  const waits = [1, 2, 3].map(() => Math.round(guard.turnMs("a") / 10_000));
  assert.deepEqual(waits, [1, 2, 3]);
  for (let n = 0; n < 10; n++) guard.turnMs("a");
  assert.ok(guard.turnMs("a") <= 45_000, "somebody who knows the password is locked out");
  assert.equal(guard.turnMs("b"), 0);
});

Deno.test("LoginGuard remembers a bounded number of addresses", async () => {
  const guard = new LoginGuard([PILOT, GUEST], 100);
  for (let n = 0; n <= 1000; n++) await guard.check(`address ${n}`, "pilot", "guess");
  assert.equal(guard.delayMs("address 0"), 0);
  assert.equal(guard.delayMs("address 1000"), 100);
});
