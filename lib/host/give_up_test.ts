import assert from "node:assert/strict";

Deno.test("giveUpPermissions() leaves a driver what its manifest asks for and nothing else", async () => {
  const code = `
    const { giveUpPermissions } = await import(${JSON.stringify(new URL("give_up.ts", import.meta.url).href)});
    giveUpPermissions("local");
    const states = {};
    for (const name of ["net", "read", "write", "run", "ffi", "sys", "env", "import"]) {
      states[name] = Deno.permissions.querySync({ name }).state;
    }
    console.log(JSON.stringify(states));`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", `data:text/javascript,${encodeURIComponent(code)}`],
    stdin: "null",
  }).output();
  const words = new TextDecoder();
  assert.deepEqual(JSON.parse(words.decode(stdout) || words.decode(stderr)), {
    net: "prompt",
    read: "granted",
    write: "granted",
    run: "prompt",
    ffi: "prompt",
    sys: "granted",
    env: "prompt",
    import: "prompt",
  });
});
