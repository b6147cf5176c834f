import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import { type ArgsSchema, checkArgs } from "../../lib/protocol/serve.ts";
import { type FtpConfig, parseConfig } from "./config.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };

function parse(args: Record<string, unknown>): FtpConfig {
  return parseConfig(checkArgs(args, manifest.args as ArgsSchema), () => null);
}

Deno.test("parseConfig() fills in what a device needs", () => {
  assert.deepEqual(parse({ host: "ftp.example.org" }), {
    host: "ftp.example.org",
    port: 21,
    user: "anonymous",
    passwd: "",
    secure: false,
    dir: "",
    connections: 16,
  });
  assert.equal(parse({ host: "a", secure: "implicit" }).port, 990);
  assert.equal(parse({ host: "a", secure: true }).secure, "explicit");
  assert.equal(parse({ host: "[::1]" }).host, "::1");
  assert.equal(parse({ host: "a", dir: "logs/" }).dir, "logs");
  assert.equal(parse({ host: "a", dir: "/" }).dir, "/");
});

Deno.test("parseConfig() refuses with a pointer to what is wrong", () => {
  for (
    const [args, pointer] of [
      [{}, "/host"],
      [{ host: "ftp://a" }, "/host"],
      [{ host: "a/b" }, "/host"],
      [{ host: "a", port: 0 }, "/port"],
      [{ host: "a", port: "21" }, "/port"],
      [{ host: "a", user: "x\r\nDELE y" }, "/user"],
      [{ host: "a", passwd: "x\n" }, "/passwd"],
      [{ host: "a", dir: "a/../b" }, "/dir"],
      [{ host: "a", dir: "a\0" }, "/dir"],
      [{ host: "a", secure: "tls" }, "/secure"],
      [{ host: "a", connections: 0 }, "/connections"],
      [{ host: "a", ca: "/etc/ssl/x.pem" }, "/ca"],
      [{ host: "a", secure: true, ca: "/nowhere/x.pem" }, "/ca"],
      [{ host: "a", pin: "0".repeat(64) }, "/pin"],
      [{ host: "a", secure: true, pin: "12" }, "/pin"],
      [{ host: "a", secure: true, pin: "0".repeat(64) }, "/pin"],
      [{ host: "a", password: "x" }, "/password"],
    ] as const
  ) {
    assert.throws(() => parse(args), (error) => {
      assert.ok(error instanceof DriverError, String(error));
      assert.equal(error.code, "invalid_config");
      assert.equal(error.details.pointer, pointer, error.message);
      return true;
    });
  }
});
