/** The program as its own built-in drivers: so it starts them when it is one executable. */
import assert from "node:assert/strict";
import { BUILT_IN_MANIFESTS } from "../../lib/host/builtin.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

for (const { name } of BUILT_IN_MANIFESTS as { name: string }[]) {
  Deno.test(`the program serves as the built-in driver "${name}"`, async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--quiet", MAIN, "__plugin", name],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"method":"shutdown","params":{}}\n'));
    const { code, stdout } = await child.output();
    await writer.close().catch(() => {});
    assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), { jsonrpc: "2.0", id: 1, result: {} });
    assert.equal(code, 0);
  });
}
