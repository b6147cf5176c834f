import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { testCall, withDriver } from "./test_call.ts";

/** Makes names that no string can hold: `bytes` in octal escapes of printf. */
async function makeRaw(dir: string, octal: string): Promise<void> {
  const script = `cd "$1" && : > "$(printf '${octal}')"`;
  const { success } = await new Deno.Command("sh", { args: ["-c", script, "sh", dir] }).output();
  assert.ok(success, "The filesystem refuses the name");
}

Deno.test("list() neither lists nor follows symbolic links, and skips what is no file", () =>
  withDriver("source", async (driver, base) => {
    await Deno.mkdir(`${base}/elsewhere`);
    await Deno.writeTextFile(`${base}/elsewhere/secret`, "x");
    await Deno.writeTextFile(`${base}/root/plain`, "x");
    await Deno.symlink(`${base}/elsewhere`, `${base}/root/dirlink`);
    await Deno.symlink(`${base}/root/plain`, `${base}/root/filelink`);
    await Deno.symlink("nowhere", `${base}/root/dangling`);
    await new Deno.Command("mkfifo", { args: [`${base}/root/fifo`] }).output();
    const call = testCall();
    await driver.list({ directory: "", recursive: true }, call);
    assert.deepEqual(call.sent.map((entry) => entry.path), ["plain"]);
    await assert.rejects(driver.list({ directory: "dirlink" }, testCall()), { code: "not_found" });
    const download = { path: "dirlink/secret", spoolFile: `${base}/spool/1`, offsetBytes: 0, expect: {} };
    await Deno.writeTextFile(download.spoolFile, "");
    await assert.rejects(driver.download(download, testCall()), { code: "not_found" });
    await assert.rejects(driver.download({ ...download, path: "filelink" }, testCall()), { code: "not_found" });
    await assert.rejects(driver.remove({ path: "dirlink/secret", expect: {} }), { code: "changed" });
    assert.equal(await Deno.readTextFile(`${base}/elsewhere/secret`), "x");
    assert.equal(await Deno.readTextFile(download.spoolFile), "");
  }));

Deno.test("list() tells a name that is no UTF-8 or holds a control character as a problem", () =>
  withDriver("source", async (driver, base) => {
    await makeRaw(`${base}/root`, "latin\\351.ulg");
    await makeRaw(`${base}/root`, "line\\nbreak.ulg");
    const call = testCall();
    await driver.list({ directory: "", recursive: true }, call);
    const problems = call.sent.map(({ path, kind, problem }) => ({ path, kind, problem }));
    assert.deepEqual(problems.sort((a, b) => a.path < b.path ? -1 : 1), [
      { path: "latin\ufffd.ulg", kind: "file", problem: "name is not valid UTF-8" },
      { path: "line\nbreak.ulg", kind: "file", problem: "name holds a control character" },
    ]);
  }));

Deno.test("list() tells a path that is too long for the system as a problem, and lists all others", () =>
  withDriver("source", async (driver, base) => {
    // No path that long can be named: it is put together from two.
    const half = Array.from({ length: 10 }, () => "d".repeat(203)).join("/");
    await Deno.mkdir(`${base}/lower/${half}`, { recursive: true });
    await Deno.mkdir(`${base}/root/${half}`, { recursive: true });
    await Deno.rename(`${base}/lower`, `${base}/root/${half}/lower`);
    await Deno.writeTextFile(`${base}/root/plain`, "x");
    await Deno.mkdir(`${base}/root/e`);
    await Deno.writeTextFile(`${base}/root/e/other`, "x");
    const call = testCall();
    await driver.list({ directory: "", recursive: true }, call);
    assert.deepEqual(call.sent.filter(({ kind }) => kind === "file").map(({ path }) => path).sort(), [
      "e/other",
      "plain",
    ]);
    const flawed = call.sent.filter(({ problem }) => problem !== undefined);
    assert.deepEqual(flawed.map(({ kind, problem }) => [kind, problem]), [
      ["directory", "its path is too long for this system"],
    ]);
    await new Deno.Command("rm", { args: ["-r", `${base}/root/${"d".repeat(203)}`] }).output();
  }));

Deno.test("list() fails when the root was replaced while it was listed", () =>
  withDriver("source", async (driver, base) => {
    for (let index = 0; index < 1500; index++) await Deno.writeTextFile(`${base}/root/${index}`, "");
    let isDone = false;
    const onEntries = () => {
      if (isDone) return;
      isDone = true;
      Deno.renameSync(`${base}/root`, `${base}/old`);
      Deno.mkdirSync(`${base}/root`);
    };
    await assert.rejects(driver.list({ directory: "", recursive: true }, testCall({ onEntries })), {
      code: "unavailable",
    });
  }));

Deno.test("list() fails when the root vanished while it was listed", () =>
  withDriver("source", async (driver, base) => {
    await Deno.mkdir(`${base}/root/sub/deeper`, { recursive: true });
    for (let index = 0; index < 1500; index++) await Deno.writeTextFile(`${base}/root/${index}`, "");
    const onEntries = () => {
      try {
        Deno.renameSync(`${base}/root`, `${base}/old`);
      } catch (error) {
        assert.ok(error instanceof Deno.errors.NotFound);
      }
    };
    await assert.rejects(driver.list({ directory: "", recursive: true }, testCall({ onEntries })), {
      code: "unavailable",
    });
  }));

Deno.test("list() goes on when a sub-directory was removed while it was listed", () =>
  withDriver("source", async (driver, base) => {
    await Deno.mkdir(`${base}/root/sub/deeper`, { recursive: true });
    for (let index = 0; index < 1500; index++) await Deno.writeTextFile(`${base}/root/${index}`, "");
    const onEntries = () => {
      try {
        Deno.removeSync(`${base}/root/sub`, { recursive: true });
      } catch (error) {
        assert.ok(error instanceof Deno.errors.NotFound);
      }
    };
    const call = testCall({ onEntries });
    await driver.list({ directory: "", recursive: true }, call);
    assert.equal(call.sent.filter((entry) => entry.kind === "file").length, 1500);
  }));

Deno.test("list() stops when it is cancelled", () =>
  withDriver("source", async (driver, base) => {
    for (let index = 0; index < 1500; index++) await Deno.writeTextFile(`${base}/root/${index}`, "");
    const abort = new AbortController();
    const call = testCall({ signal: abort.signal, onEntries: () => abort.abort() });
    await assert.rejects(driver.list({ directory: "" }, call), (error) => !(error instanceof DriverError));
    assert.equal(call.sent.length, 1000);
  }));
