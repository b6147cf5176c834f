import assert from "node:assert/strict";
import { freePort, listensOn } from "./port.ts";

Deno.test("listensOn() tells whose a port is, also when a child has it", async () => {
  const port = freePort();
  const script =
    `using l = Deno.listen({ hostname: "127.0.0.1", port: ${port} }); console.log("up"); await l.accept();`;
  const child = new Deno.Command("sh", {
    args: ["-c", '"$0" eval "$1" & echo; wait', Deno.execPath(), script],
    stdout: "piped",
    stdin: "null",
  }).spawn();
  try {
    let said = "";
    for await (const part of child.stdout) {
      said += new TextDecoder().decode(part);
      if (said.includes("up")) break;
    }
    assert.equal(listensOn(child.pid, port), true);
    using mine = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    assert.equal(listensOn(child.pid, mine.addr.port), false, "another process has it");
  } finally {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    await child.status;
  }
  assert.equal(listensOn(Deno.pid, port), false, "nobody listens any more");
});
