import assert from "node:assert/strict";
import { hasCommand, testNeeding } from "../../tests/support/needs.ts";
import { ConfigError } from "./explain.ts";
import type { JsonSchema } from "./json_schema.ts";
import { literalSecrets, redact, redactUrl } from "./redact.ts";
import { isSecretReference, secretReferences } from "./references.ts";
import { resolveSecrets, type SecretOptions } from "./secrets.ts";

async function problemOf(reference: unknown, options: SecretOptions = {}): Promise<string> {
  try {
    await resolveSecrets({ passwd: reference }, options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  throw new Error("Expected a ConfigError");
}

async function inDir(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("resolveSecrets() reads the environment, files, credentials and commands, at any depth", async () => {
  await inDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/key`, "from file\n");
    await Deno.writeTextFile(`${dir}/cred`, "from credential\r\n");
    const args = {
      host: "h",
      port: 21,
      a: { env: "A" },
      b: { file: `${dir}/key` },
      c: { credential: "cred" },
      d: { command: ["printf", "%s\\n", "from command; $(no shell)"] },
      headers: { list: [{ env: "A" }] },
    };
    const env = { A: "from env", CREDENTIALS_DIRECTORY: dir };
    assert.deepEqual(await resolveSecrets(args, { env }), {
      host: "h",
      port: 21,
      a: "from env",
      b: "from file",
      c: "from credential",
      d: "from command; $(no shell)",
      headers: { list: ["from env"] },
    });
    assert.deepEqual(args.a, { env: "A" }, "the configuration keeps its references");
  });
});

Deno.test("resolveSecrets() trims one line end and nothing else", async () => {
  await inDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/key`, "  two lines\n\n");
    assert.deepEqual(await resolveSecrets({ passwd: { file: `${dir}/key` } }), { passwd: "  two lines\n" });
  });
});

Deno.test("resolveSecrets() tells of an unset and of an empty variable", async () => {
  assert.match(await problemOf({ env: "NOPE" }), /^passwd: Environment variable "NOPE" is not set\n {2}Set NOPE/);
  assert.match(await problemOf({ env: "NOPE" }, { env: { NOPE: "" } }), /is empty/);
  assert.match(await problemOf({ env: "A=B" }), /Expected the name of an environment variable/);
  assert.deepEqual(await resolveSecrets({ passwd: { env: "PATH" } }), { passwd: Deno.env.get("PATH") });
});

Deno.test("resolveSecrets() tells of key files that cannot be used, and what to do", async () => {
  await inDir(async (dir) => {
    assert.match(await problemOf({ file: `${dir}/none` }), /Cannot read key file ".*none": no such file\n {2}Make the/);
    assert.match(await problemOf({ file: dir }), /it is no file/);
    assert.match(await problemOf({ file: "/dev/zero" }), /it is no file/);
    await Deno.writeTextFile(`${dir}/empty`, "\n");
    assert.match(await problemOf({ file: `${dir}/empty` }), /it is empty/);
    await Deno.writeFile(`${dir}/binary`, new Uint8Array([0xff, 0xfe]));
    assert.match(await problemOf({ file: `${dir}/binary` }), /no UTF-8/);
    await Deno.writeFile(`${dir}/large`, new Uint8Array(70_000));
    assert.match(await problemOf({ file: `${dir}/large` }), /it has 70000 bytes/);
  });
});

testNeeding(
  "setpriv",
  "resolveSecrets() names a key file that this user may not read",
  async () => {
    await inDir(async (dir) => {
      const file = `${dir}/key`;
      await Deno.writeTextFile(file, "hunter2");
      await Deno.chmod(file, 0o000);
      const denied = /key": permission denied\n {2}Make it readable for the user that runs filesync/;
      if (Deno.uid() !== 0) {
        assert.match(await problemOf({ file }), denied);
        return;
      }
      // Root reads everything, unless it gives up its capabilities.
      const program = `import { resolveSecrets } from ${JSON.stringify(import.meta.resolve("./secrets.ts"))};
        await resolveSecrets({ passwd: { file: Deno.args[0] } }).catch((error) => console.log(error.message));`;
      await Deno.writeTextFile(`${dir}/program.ts`, program);
      const config = new URL("../../deno.json", import.meta.url).pathname;
      const run = [
        Deno.execPath(),
        "run",
        "-A",
        "--no-prompt",
        "--no-check",
        "--config",
        config,
        `${dir}/program.ts`,
        file,
      ];
      const { stdout, stderr } = await new Deno.Command("setpriv", {
        args: ["--bounding-set=-all", "--inh-caps=-all", ...run],
      }).output();
      assert.match(new TextDecoder().decode(stdout), denied, new TextDecoder().decode(stderr));
    });
  },
  Deno.uid() !== 0 || hasCommand("setpriv"),
);

Deno.test("resolveSecrets() tells how to give a credential to the service", async () => {
  assert.match(
    await problemOf({ credential: "ftp" }, { env: {} }),
    /Cannot read credential "ftp": \$CREDENTIALS_DIRECTORY is not set\n {2}Add LoadCredential=ftp:/,
  );
  assert.match(await problemOf({ credential: "ftp" }, { credentialsDir: "/nonexistent" }), /no such file/);
  assert.match(
    await problemOf({ credential: "../x" }, { credentialsDir: "/tmp" }),
    /Expected the name of a credential/,
  );
});

Deno.test("resolveSecrets() tells of commands that fail, without their arguments and their output", async () => {
  const failing = await problemOf({ command: ["sh", "-c", "echo hunter2; echo hunter2 >&2; exit 3"] });
  assert.match(failing, /Cannot read the secret from command "sh": exit code 3/);
  assert.doesNotMatch(failing, /hunter2/);
  assert.match(await problemOf({ command: ["/nonexistent/pass"] }), /no such program/);
  assert.match(await problemOf({ command: ["true"] }), /its output is empty/);
  assert.match(await problemOf({ command: ["yes"] }), /printed more than 65536 bytes/);
});

Deno.test("resolveSecrets() kills a command that does not end, also one whose child holds the pipe", async () => {
  assert.match(
    await problemOf({ command: ["sh", "-c", "trap '' TERM; sleep 20 & wait"] }, { commandMsMax: 50 }),
    /no end after 0.05 s/,
  );
});

Deno.test("resolveSecrets() tells every reference that cannot be read at once", async () => {
  await assert.rejects(resolveSecrets({ a: { env: "X" }, b: { env: "Y" } }), (error) => {
    assert.ok(error instanceof ConfigError);
    return error.problems.length === 2;
  });
});

const schema: JsonSchema = {
  type: "object",
  properties: {
    host: { type: "string" },
    passwd: { type: "string", writeOnly: true },
    pin: { type: "string", writeOnly: true },
    values: { type: "object", additionalProperties: { type: "string" } },
    headers: { type: "object", additionalProperties: { type: "string" } },
  },
};

Deno.test("secretReferences() takes an object for a reference only where a string is allowed", () => {
  const args = { passwd: { env: "A" }, values: { file: "a form field" }, headers: { X: { env: "B" } } };
  assert.deepEqual(secretReferences(args, schema), [["passwd"], ["headers", "X"]]);
  assert.deepEqual(secretReferences(args, undefined), [["passwd"], ["values"], ["headers", "X"]]);
});

Deno.test("isSecretReference() refuses what only looks like one", () => {
  for (
    const value of [{}, { env: 1 }, { env: "" }, { env: "A", file: "b" }, { command: [] }, { command: "x" }, ["env"]]
  ) {
    assert.ok(!isSecretReference(value), JSON.stringify(value));
  }
});

Deno.test("redact() hides secrets, shows references, and hides what is named like a secret", () => {
  const args = {
    host: "ftp://pi:hunter2@nas:21/x",
    passwd: "hunter2",
    pin: { file: "/etc/pin" },
    headers: { Authorization: "Bearer hunter2", Accept: "*" },
    command: { command: ["pass", "show", "hunter2"] },
    api_key: "hunter2",
  };
  assert.deepEqual(redact(args, schema), {
    host: "ftp://pi:***@nas:21/x",
    passwd: "***",
    pin: { file: "/etc/pin" },
    headers: { Authorization: "***", Accept: "*" },
    command: { command: ["pass", "***", "***"] },
    api_key: "***",
  });
  assert.doesNotMatch(JSON.stringify(redact(args)), /hunter2/);
});

Deno.test("redactUrl() leaves addresses without a password alone", () => {
  for (const url of ["serial:///dev/ttyACM0?baud=115200", "udp://0.0.0.0:14550", "https://a/b:c@d", "a:b@c"]) {
    assert.equal(redactUrl(url), url);
  }
});

Deno.test("literalSecrets() finds what stands in the file itself", () => {
  assert.deepEqual(literalSecrets({ host: "h", passwd: "x" }, schema), [["passwd"]]);
  assert.deepEqual(literalSecrets({ host: "http://u:p@h", passwd: { env: "X" } }, schema), [["host"]]);
  assert.deepEqual(literalSecrets({ host: "h", passwd: "" }, schema), []);
});
