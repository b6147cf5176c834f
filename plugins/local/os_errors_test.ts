import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { isAbsent, isWithoutLinks, osCode, toDriverError } from "./os_errors.ts";

function thrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("Nothing was thrown");
}

function meant(error: unknown, options?: Parameters<typeof toDriverError>[2]): DriverError {
  const reason = toDriverError(error, "Cannot do it", options);
  assert.ok(reason instanceof DriverError);
  return reason;
}

Deno.test("osCode() names what the system really throws", () => {
  assert.equal(osCode(thrown(() => Deno.lstatSync("/nowhere"))), "ENOENT");
  assert.equal(osCode(thrown(() => Deno.lstatSync("/dev/null/below"))), "ENOTDIR");
  assert.equal(osCode(thrown(() => Deno.lstatSync(`/${"n".repeat(300)}`))), "ENAMETOOLONG");
  assert.equal(osCode(thrown(() => Deno.mkdirSync("/tmp"))), "EEXIST");
  assert.equal(osCode(thrown(() => Deno.writeFileSync("/dev/full", new Uint8Array(10)))), "ENOSPC");
  assert.equal(osCode(new Error("Something happened (os error 122)")), "EDQUOT");
  assert.equal(osCode(new Deno.errors.NotCapable("Requires read access")), "EACCES");
  assert.equal(osCode(new TypeError("a bug")), undefined);
  assert.ok(isAbsent(thrown(() => Deno.lstatSync("/dev/null/below"))));
  assert.ok(isWithoutLinks(Object.assign(new Error("link"), { code: "EPERM" })));
});

Deno.test("toDriverError() gives each error the code of its consequence", () => {
  const codes: Record<string, string> = {
    ENOENT: "not_found",
    EACCES: "denied",
    EROFS: "no_space",
    ENOSPC: "no_space",
    EDQUOT: "no_space",
    ENAMETOOLONG: "rejected",
    EFBIG: "rejected",
    ENODEV: "unavailable",
    ESTALE: "unavailable",
    EIO: "failed",
    EWEIRD: "failed",
  };
  for (const [code, wanted] of Object.entries(codes)) {
    assert.equal(meant(Object.assign(new Error("words"), { code })).code, wanted, code);
  }
  assert.match(meant(thrown(() => Deno.lstatSync("/nowhere"))).message, /^Cannot do it: it is not there$/);
  assert.match(meant(new TypeError("a bug")).message, /^Cannot do it: a bug$/);
});

Deno.test("toDriverError() narrows only a refusal to the file, and gives the remedy", () => {
  const refused = Object.assign(new Error("x"), { code: "EACCES" });
  const { details } = meant(refused, { scope: "file", deniedHint: "chmod a+r x" });
  assert.equal(details.scope, "file");
  assert.equal(details.hint, "chmod a+r x");
  assert.equal(meant(Object.assign(new Error("x"), { code: "EIO" }), { scope: "file" }).details.scope, undefined);
});

Deno.test("toDriverError() passes the contract's own errors and aborts unchanged", () => {
  const own = new DriverError("held", "Armed");
  assert.equal(toDriverError(own, "x"), own);
  const abort = thrown(() => AbortSignal.abort().throwIfAborted());
  assert.equal(toDriverError(abort, "x"), abort);
});
