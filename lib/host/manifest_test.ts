import assert from "node:assert/strict";
import { BUILT_IN_MANIFESTS } from "./builtin.ts";
import { checkManifest, ManifestError, readManifest, resolveCommand } from "./manifest.ts";

const GOOD = { name: "cam", version: "1.0", protocol: 1, roles: ["source"], command: ["./run.sh", "--fast"] };

async function withFolder(manifest: unknown, run: (folder: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/run.sh`, "#!/bin/sh\n", { mode: 0o755 });
    const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest);
    await Deno.writeTextFile(`${folder}/filesync-plugin.json`, text, { mode: 0o644 });
    run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function refusal(run: () => unknown): ManifestError {
  try {
    run();
  } catch (error) {
    if (error instanceof ManifestError) return error;
    throw error;
  }
  throw new Error("Manifest was not refused");
}

Deno.test("checkManifest() takes every built-in manifest", () => {
  assert.deepEqual(BUILT_IN_MANIFESTS.map((value) => checkManifest(value).name), [
    "local",
    "disk",
    "ftp",
    "webdav",
    "post",
    "mavftp",
  ]);
});

Deno.test("checkManifest() ignores unknown fields and fills in the optional ones", () => {
  assert.deepEqual(checkManifest({ ...GOOD, future: true }), { ...GOOD, description: "", args: {} });
});

Deno.test("checkManifest() names the field that is wrong", () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ name: "Cam" }, /"name": must consist of a-z/],
    [{ name: "../cam" }, /"name"/],
    [{ version: 1 }, /"version"/],
    [{ roles: [] }, /"roles"/],
    [{ roles: ["sink"] }, /"roles.0"/],
    [{ protocol: "1" }, /"protocol"/],
    [{ command: "run.sh" }, /"command"/],
    [{ permissions: { env: ["A B"] } }, /"permissions.env.0": must be the name of an environment variable/],
  ];
  for (const [change, message] of wrong) {
    const error = refusal(() => checkManifest({ ...GOOD, ...change }));
    assert.match(error.message, message);
    assert.match(error.hint ?? "", /plugins\/README.md/);
  }
  for (const value of [null, 7, "text", []]) refusal(() => checkManifest(value));
});

Deno.test("checkManifest() refuses another protocol and says what to do", () => {
  const newer = refusal(() => checkManifest({ ...GOOD, protocol: 2, roles: "changed in 2" }));
  assert.deepEqual([newer.message, newer.pluginName], ["Plugin speaks protocol 2: expected 1", "cam"]);
  assert.match(newer.hint ?? "", /^Update filesync/);
  assert.match(refusal(() => checkManifest({ ...GOOD, protocol: 0 })).hint ?? "", /newer release of the plugin/);
});

Deno.test("readManifest() reads a folder", () =>
  withFolder(GOOD, (folder) => {
    assert.equal(readManifest(folder).name, "cam");
  }));

Deno.test("readManifest() refuses what is no JSON, has no command, or is not there", async () => {
  await withFolder("{", (folder) => {
    assert.equal(refusal(() => readManifest(folder)).hint, "Correct the JSON");
  });
  const { command: _, ...withoutCommand } = GOOD;
  await withFolder(withoutCommand, (folder) => {
    assert.match(refusal(() => readManifest(folder)).message, /"command" is missing/);
  });
  assert.match(refusal(() => readManifest("/nowhere")).message, /^Cannot read "\/nowhere\/filesync-plugin.json"/);
});

for (
  const [what, name, mode] of [
    ["a world-writable manifest", "/filesync-plugin.json", 0o646],
    ["a group-writable manifest", "/filesync-plugin.json", 0o664],
    ["a world-writable executable", "/run.sh", 0o757],
    ["a world-writable folder", "", 0o777],
  ] as const
) {
  Deno.test(`readManifest() refuses ${what} with the chmod to run`, () =>
    withFolder(GOOD, (folder) => {
      Deno.chmodSync(folder + name, mode);
      const error = refusal(() => readManifest(folder));
      assert.equal(error.message, `Others can write to "${folder}${name}"`);
      assert.equal(error.hint, `chmod go-w ${folder}${name}`);
    }));
}

Deno.test({
  name: "readManifest() refuses a plugin of another user",
  // Only root can give a file away.
  ignore: Deno.uid() !== 0,
  fn: () =>
    withFolder(GOOD, (folder) => {
      Deno.chownSync(`${folder}/run.sh`, 12345, null);
      assert.match(refusal(() => readManifest(folder)).message, /run\.sh" belongs to user 12345: expected 0 or root/);
    }),
});

Deno.test("resolveCommand() makes the folder's files absolute and leaves the rest", () =>
  withFolder(GOOD, (folder) => {
    assert.deepEqual(resolveCommand(folder, ["python3", "run.sh", "--run.sh", "other", "/etc/passwd"]), [
      { value: "python3", isOwnFile: false },
      { value: `${folder}/run.sh`, isOwnFile: true },
      { value: "--run.sh", isOwnFile: false },
      { value: "other", isOwnFile: false },
      { value: "/etc/passwd", isOwnFile: false },
    ]);
    assert.deepEqual(resolveCommand(folder, ["./run.sh"]), [{ value: `${folder}/run.sh`, isOwnFile: true }]);
    assert.deepEqual(resolveCommand(folder, ["run.sh"]), [{ value: `${folder}/run.sh`, isOwnFile: true }]);
    assert.deepEqual(resolveCommand(folder, ["./none"]), [{ value: `${folder}/none`, isOwnFile: false }]);
  }));
