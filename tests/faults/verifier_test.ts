// Goal: the verifier catches a mover that loses, cuts, doubles or litters. Method: be that mover.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Verifier } from "./verifier.ts";

async function withDirs(run: (source: string, target: string) => void): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    const source = join(dir, "source");
    const target = join(dir, "target");
    mkdirSync(join(source, "a"), { recursive: true });
    mkdirSync(join(target, "a"), { recursive: true });
    writeFileSync(join(source, "a/one.bin"), crypto.getRandomValues(new Uint8Array(5000)));
    writeFileSync(join(source, "two.bin"), crypto.getRandomValues(new Uint8Array(10)));
    for (const path of ["a/one.bin", "two.bin"]) copyFileSync(join(source, path), join(target, path));
    run(source, target);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("Verifier finds nothing wrong with a whole copy", () =>
  withDirs((source, target) => {
    const nothing = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
    assert.deepEqual(new Verifier(source).judge(target), nothing);
  }));

Deno.test("Verifier catches a file that is lost, cut short, changed, doubled, foreign, or left half-way", () =>
  withDirs((source, target) => {
    const verifier = new Verifier(source);
    writeFileSync(join(target, "a/one.bin"), new Uint8Array(4999));
    assert.deepEqual(verifier.judge(target).corrupt, ["a/one.bin"]);
    copyFileSync(join(source, "a/one.bin"), join(target, "a/one.bin"));
    copyFileSync(join(source, "two.bin"), join(target, "two~2.bin"));
    assert.deepEqual(verifier.judge(target).duplicated, ["two~2.bin"]);
    Deno.removeSync(join(target, "two~2.bin"));
    Deno.removeSync(join(target, "two.bin"));
    assert.deepEqual(verifier.judge(target).missing, ["two.bin"]);
    writeFileSync(join(target, "filesync-0123456789abcdef.part"), "x");
    assert.deepEqual(verifier.judge(target).leftovers, ["filesync-0123456789abcdef.part"]);
    writeFileSync(join(target, "other"), "x");
    assert.deepEqual(verifier.judge(target).strange, ["other"]);
  }));
