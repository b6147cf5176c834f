import assert from "node:assert/strict";
import { newDriver, testCall, withDriver } from "./test_call.ts";

async function list(driver: ReturnType<typeof newDriver>): Promise<string[]> {
  const call = testCall();
  await driver.list({ directory: "" }, call);
  return call.sent.map((entry) => entry.path);
}

Deno.test("A source whose directory is missing is unavailable, and it is not made", () =>
  withDriver("source", async (driver, base) => {
    await assert.rejects(list(driver), { code: "unavailable" });
    await assert.rejects(Deno.stat(`${base}/in`), Deno.errors.NotFound);
  }, "in"));

Deno.test("A target's directory is made at its first use when its parent exists", () =>
  withDriver("target", async (driver, base) => {
    assert.deepEqual(await list(driver), []);
    assert.ok((await Deno.stat(`${base}/out`)).isDirectory);
  }, "out"));

Deno.test("A target's directory is not made when its parent is missing", () =>
  withDriver("target", async (driver, base) => {
    await assert.rejects(list(driver), { code: "unavailable" });
    await assert.rejects(Deno.stat(`${base}/mnt`), Deno.errors.NotFound);
  }, "mnt/out"));

Deno.test("A target's directory that was there once is not made again, also after a restart", () =>
  withDriver("target", async (driver, base) => {
    await list(driver);
    await Deno.remove(`${base}/out`);
    await assert.rejects(list(driver), { code: "unavailable" });
    await assert.rejects(list(newDriver("target", base, "out")), { code: "unavailable" });
    await Deno.mkdir(`${base}/out`);
    assert.deepEqual(await list(driver), []);
  }, "out"));

Deno.test("A directory that was a mount point once is unavailable while nothing is mounted on it", () =>
  withDriver("target", async (driver, base) => {
    const memory = `${base}/state/root.json`;
    await Deno.writeTextFile(memory, JSON.stringify({ dir: `${base}/root`, mounted: true }));
    await assert.rejects(list(driver), { code: "unavailable", message: /Nothing is mounted/ });
    await Deno.remove(memory);
    assert.deepEqual(await list(driver), [], "The remedy of the hint works without a restart");
    assert.deepEqual(JSON.parse(await Deno.readTextFile(memory)), { dir: `${base}/root`, mounted: false });
  }));

Deno.test("What is remembered of another directory, or torn, does not count", () =>
  withDriver("target", async (driver, base) => {
    await Deno.writeTextFile(`${base}/state/root.json`, JSON.stringify({ dir: "/mnt/other", mounted: true }));
    assert.deepEqual(await list(driver), []);
    await Deno.writeTextFile(`${base}/state/root.json`, '{"dir": "/mn');
    assert.deepEqual(await list(newDriver("target", base)), []);
  }));

Deno.test("A root that is a file is unavailable", () =>
  withDriver("source", async (driver, base) => {
    await Deno.writeTextFile(`${base}/file`, "x");
    await assert.rejects(list(driver), { code: "unavailable", message: /is no directory/ });
  }, "file"));

Deno.test("A root may be reached through a symbolic link that the user made", () =>
  withDriver("source", async (driver, base) => {
    await Deno.writeTextFile(`${base}/root/a`, "x");
    await Deno.symlink(`${base}/root`, `${base}/link`);
    assert.deepEqual(await list(driver), ["a"]);
  }, "link"));
