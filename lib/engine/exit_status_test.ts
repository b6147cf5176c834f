import assert from "node:assert/strict";
import type { ErrorCode } from "../driver/mod.ts";
import { exitStatus, type RunFacts } from "./exit_status.ts";

function code(closed: ErrorCode[], left: Partial<RunFacts["outstanding"]> = {}, listingFailed = false): number {
  return exitStatus({ outstanding: { parked: 0, uncertain: 0, left: 0, ...left }, closed, listingFailed });
}

Deno.test("exitStatus() tells each cause by its code", () => {
  assert.equal(code([]), 0);
  assert.equal(code([], {}, true), 1);
  assert.equal(code([], { left: 1 }), 1);
  assert.equal(code(["invalid_config"]), 3);
  assert.equal(code(["unsupported"]), 3);
  assert.equal(code([], { parked: 1 }), 4);
  assert.equal(code([], { uncertain: 1 }), 4);
  assert.equal(code(["unavailable"]), 5);
  assert.equal(code(["held"]), 5);
  assert.equal(code(["denied"]), 6);
  assert.equal(code(["broken"]), 8);
});

Deno.test("exitStatus() lets the first of 3, 6, 8, 4, 5, 1 win", () => {
  const all: ErrorCode[] = ["unavailable", "broken", "denied", "invalid_config"];
  const rest = { parked: 1, left: 1 };
  assert.equal(code(all, rest, true), 3);
  assert.equal(code(all.slice(0, 3), rest, true), 6);
  assert.equal(code(all.slice(0, 2), rest, true), 8);
  assert.equal(code(all.slice(0, 1), rest, true), 4);
  assert.equal(code(all.slice(0, 1), { left: 1 }, true), 5);
});
