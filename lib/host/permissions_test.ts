import assert from "node:assert/strict";
import { denoFlags } from "./permissions.ts";

const VALUES = {
  args: {} as Record<string, unknown>,
  schema: { properties: { port: { default: 21 }, secret: { default: { not: "text" } } } },
  spoolDir: "/spool/a",
  spoolRoot: "/spool",
  stateDir: "/state",
};

function net(entry: string, args: Record<string, unknown>): string | undefined {
  return denoFlags({ net: [entry] }, { ...VALUES, args })[0]?.replace("--allow-net=", "");
}

Deno.test("denoFlags() gives whole categories, names, and nothing for what is false or empty", () => {
  assert.deepEqual(denoFlags({ net: true, ffi: false, run: [], sys: ["hostname"], env: ["A", "B"] }, VALUES), [
    "--allow-net",
    "--allow-sys=hostname",
    "--allow-env=A,B",
  ]);
  assert.deepEqual(denoFlags({}, VALUES), []);
});

Deno.test("denoFlags() doubles commas in paths, leaves out entries without a value, and repeats none", () => {
  const args = { dir: "/a,b", other: undefined };
  assert.deepEqual(
    denoFlags({
      read: ["{args.dir}", "{args.other}", "{args.none}", "{stateDir}/x", "{args.dir}"],
      write: ["{args.none}"],
    }, {
      ...VALUES,
      args,
    }),
    ["--allow-read=/a,,b,/state/x"],
  );
});

Deno.test("denoFlags() takes a host from a name, an address or a URL, with the port where it is known", () => {
  assert.equal(net("{args.host}", { host: "nas.local" }), "nas.local");
  assert.equal(net("{args.host}:{args.port}", { host: "nas" }), "nas:21");
  assert.equal(net("{args.host}:{args.port}", { host: "nas", port: 2121 }), "nas:2121");
  assert.equal(net("{args.host}:{args.none}", { host: "nas" }), "nas");
  assert.equal(net("{args.host}", { host: "fe80::1" }), "[fe80::1]");
  assert.equal(net("{args.host}:{args.port}", { host: "::1" }), "[::1]:21");
  assert.equal(net("{args.url}", { url: "https://user:pass@cloud.example/dav/" }), "cloud.example");
  assert.equal(net("{args.url}", { url: "https://cloud.example:8443/dav/" }), "cloud.example:8443");
  assert.equal(net("{args.url}", { url: "udpout://10.0.0.1:14550" }), "10.0.0.1:14550");
  assert.equal(net("logs.px4.io:443", {}), "logs.px4.io:443");
});

Deno.test("denoFlags() leaves out a host that would widen the permission", () => {
  for (const host of ["a,b", "", " ", "a b", "serial:///dev/ttyACM0", { a: 1 }, null]) {
    assert.equal(net("{args.host}", { host }), undefined);
  }
  assert.equal(net("{args.secret}", {}), undefined);
  assert.equal(net("{args.toString}", {}), undefined);
});
