/** What `deno task release` gives to users. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync } from "node:fs";
import { basename, join } from "node:path";
import { SOURCE_ROOT } from "../../lib/host/builtin.ts";
import { VERSION } from "../../cli/version.ts";
import { testNeeding } from "../support/needs.ts";
import { programOf, RUNTIMES, sharedRelease } from "../support/release.ts";

async function inTempDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-release-" });
  try {
    await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function run(command: string, args: string[], options: Deno.CommandOptions = {}) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null", ...options }).output();
  const words = new TextDecoder();
  return { code, text: words.decode(stdout) + words.decode(stderr) };
}

testNeeding("npm", "release: everything of it has its checksum, and nothing else is there", async () => {
  const release = await sharedRelease();
  assert.deepEqual([...Deno.readDirSync(release)].map(({ name }) => name).sort(), [
    "SHA256SUMS",
    `filesync-${VERSION}-aarch64`,
    `filesync-${VERSION}-x86_64`,
    `filesync-${VERSION}.cdx.json`,
    `filesync-${VERSION}.licenses.txt`,
    "install.sh",
  ]);
  const { code, text } = await run("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: release });
  assert.equal(code, 0, text);
  assert.equal(text.match(/: OK$/gm)?.length, 5);
});

testNeeding("npm", "release: the bill names each package and the runtime, and no licence asks to relink", async () => {
  const release = await sharedRelease();
  const bill = JSON.parse(Deno.readTextFileSync(join(release, `filesync-${VERSION}.cdx.json`))) as {
    bomFormat: string;
    components: { "bom-ref": string; licenses: { license?: { id: string }; expression?: string }[] }[];
    dependencies: { dependsOn: string[] }[];
  };
  assert.equal(bill.bomFormat, "CycloneDX");
  const names = bill.components.map((component) => component["bom-ref"].replace(/@[^@]*$/, ""));
  // What deno.json imports for the program.
  for (const name of ["%40logtape/logtape", "%40logtape/file", "%40stricli/core", "jsonc-parser", "ky", "sax", "zod"]) {
    assert(names.includes(`pkg:npm/${name}`), name);
  }
  assert(names.includes("pkg:npm/%40deno/linux-arm64-glibc") && names.includes("pkg:npm/%40deno/linux-x64-glibc"));
  assert(!names.some((name) => /types|mavlink|playwright|ajv|axe-core/.test(name)), names.join());
  const licenses = bill.components.map(({ licenses: [one] }) => one?.license?.id ?? one?.expression ?? "");
  for (const license of licenses) assert.match(license, /^(MIT|Apache-2\.0|ISC|BSD-[23]-Clause|BlueOak-1\.0\.0)$/);
  assert.deepEqual(bill.dependencies[0]?.dependsOn, bill.components.map((component) => component["bom-ref"]));
  const notices = Deno.readTextFileSync(join(release, `filesync-${VERSION}.licenses.txt`));
  for (const word of ["zod", "@stricli/core", "the Deno authors", "Permission is hereby granted"]) {
    assert(notices.includes(word), word);
  }
});

testNeeding("npm", "release: the same commit gives the same bytes in another folder", async () => {
  const release = await sharedRelease();
  await inTempDir(async (dir) => {
    // Deeper than this one: no name may tell how far the packages are.
    const copy = join(dir, "a/copy/of/it");
    for (const name of ["cli", "lib", "plugins", "deno.json", "deno.lock"]) {
      cpSync(new URL(name, SOURCE_ROOT), join(copy, name), { recursive: true });
    }
    cpSync(RUNTIMES, join(dir, "out/.runtime"), { recursive: true });
    const args = ["run", "-A", "--no-prompt", "--config", join(copy, "deno.json"), join(copy, "cli/build/compile.ts")];
    const made = await run(Deno.execPath(), [...args, "--runtime", "npm", "--out", join(dir, "out")]);
    assert.equal(made.code, 0, made.text);
    const ours = programOf(release, Deno.build.arch);
    const sum = (path: string) => createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
    assert.equal(sum(join(dir, "out", basename(ours))), sum(ours));
  });
});

Deno.test("compile honours $DENORT_BIN, and says what deno compile says when that is no runtime", async () => {
  await inTempDir(async (dir) => {
    const args = ["run", "-A", "--no-prompt", new URL("cli/build/compile.ts", SOURCE_ROOT).pathname, "--out", dir];
    const compile = (denort: string) =>
      run(Deno.execPath(), [...args, "--runtime", "denort"], { env: { DENORT_BIN: denort } });
    // Any executable is taken for the runtime: this one cannot run the program, but carries it.
    const made = await compile(Deno.execPath());
    assert.equal(made.code, 0, made.text);
    assert.match(made.text, /with denort/);
    const [{ name }] = [...Deno.readDirSync(dir)] as [Deno.DirEntry];
    assert(Deno.statSync(join(dir, name)).size > Deno.statSync(Deno.execPath()).size);
    const failed = await compile(join(dir, "nothing"));
    assert.equal(failed.code, 1);
    assert.match(failed.text, /^Cannot compile: /m);
  });
});

testNeeding(
  "python3",
  "compile honours an archive of denort that lies where Deno keeps what it downloads",
  async () => {
    await inTempDir(async (dir) => {
      const { denoDir } = JSON.parse((await run(Deno.execPath(), ["info", "--json"])).text) as { denoDir: string };
      const own = join(dir, "deno");
      const release = join(own, "dl/release", `v${Deno.version.deno}`);
      Deno.mkdirSync(release, { recursive: true });
      for (const { name } of Deno.readDirSync(denoDir)) {
        if (name !== "dl") Deno.symlinkSync(join(denoDir, name), join(own, name));
      }
      for (const { name } of Deno.readDirSync(join(denoDir, "dl"))) {
        if (name !== "release") Deno.symlinkSync(join(denoDir, "dl", name), join(own, "dl", name));
      }
      Deno.symlinkSync(Deno.execPath(), join(dir, "denort"));
      const archive = join(release, `denort-${Deno.build.target}.zip`);
      const zipped = await run("python3", ["-m", "zipfile", "-c", archive, "denort"], { cwd: dir });
      assert.equal(zipped.code, 0, zipped.text);
      const compile = new URL("cli/build/compile.ts", SOURCE_ROOT).pathname;
      const made = await run(
        Deno.execPath(),
        ["run", "-A", "--no-prompt", compile, "--runtime", "denort", "--out", join(dir, "out")],
        { env: { DENO_DIR: own } },
      );
      assert.equal(made.code, 0, made.text);
      assert.match(made.text, /with denort/);
    });
  },
);

Deno.test("compile never takes a runtime whose hash is another than the pinned one", async () => {
  await inTempDir(async (dir) => {
    // A registry's mirror that gives something else.
    Deno.mkdirSync(join(dir, "bin"));
    const npm = `#!/bin/sh\nfor last; do :; done\nprintf x > "$4/other.tgz"\necho other.tgz\n`;
    Deno.writeTextFileSync(join(dir, "bin/npm"), npm, { mode: 0o755 });
    const compile = new URL("cli/build/compile.ts", SOURCE_ROOT).pathname;
    const { code, text } = await run(
      Deno.execPath(),
      ["run", "-A", "--no-prompt", compile, "--runtime", "npm", "--out", join(dir, "out")],
      { env: { PATH: `${dir}/bin:${Deno.env.get("PATH")}` } },
    );
    assert.equal(code, 1, text);
    assert.match(text, /Cannot use @deno\/linux-.*: its hash is sha512-.*, pinned is sha512-/);
    assert.deepEqual([...Deno.readDirSync(join(dir, "out/.runtime"))], []);
    assert(!existsSync(join(dir, `out/filesync-${VERSION}-${Deno.build.arch}`)));
  });
});
