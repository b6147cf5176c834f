/** The socket beside the store: who may ask, what is answered, and what happens when either side is not itself. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { keptLog } from "../../tests/support/engine_bed.ts";
import { Store } from "../state/mod.ts";
import { callDaemon } from "./control_client.ts";
import { type ControlHandler, ControlServer } from "./control.ts";
import { EngineError, EXIT } from "./errors.ts";

const HANDLERS: Record<string, ControlHandler> = {
  echo: (params) => params,
  refuse: () => {
    throw new EngineError(EXIT.usage, 'Job "x" is not here', { hint: "Jobs are none" });
  },
  fail: () => Promise.reject(new Error("Disk fell off")),
};

class Bed implements AsyncDisposable {
  readonly dir: string;
  readonly path: string;
  readonly store: Store;
  readonly log = keptLog();
  server: ControlServer | undefined;

  constructor(below = "", handlers = HANDLERS) {
    this.dir = Deno.makeTempDirSync({ prefix: "filesync-control-" });
    Deno.mkdirSync(join(this.dir, below), { recursive: true });
    this.path = join(this.dir, below, "state.db");
    this.store = new Store(this.path);
    this.server = ControlServer.open(this.store, handlers, this.log);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server?.close();
    this.store.close();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

async function failure(promise: Promise<unknown>): Promise<EngineError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof EngineError, String(error));
    return error;
  }
  throw new Error("Nothing failed");
}

Deno.test("ControlServer answers by a socket that only its owner may use, and takes it away at its end", async () => {
  await using bed = new Bed();
  const stat = Deno.lstatSync(`${bed.path}.sock`);
  assert.deepEqual([stat.isSocket, (stat.mode ?? 0) & 0o777], [true, 0o600]);
  const params = { paths: ["ä\n", "b".repeat(300_000)] };
  assert.deepEqual(await callDaemon(bed.path, "echo", params), params);
  await bed.server?.close();
  bed.server = undefined;
  assert.throws(() => Deno.lstatSync(`${bed.path}.sock`), Deno.errors.NotFound);
});

Deno.test("ControlServer tells the asker what failed, with the exit code, and goes on", async () => {
  await using bed = new Bed();
  const refused = await failure(callDaemon(bed.path, "refuse", {}));
  assert.deepEqual([refused.message, refused.hint, refused.exitCode], ['Job "x" is not here', "Jobs are none", 2]);
  const failed = await failure(callDaemon(bed.path, "fail", {}));
  assert.deepEqual([failed.message, failed.exitCode], ["Disk fell off", 1]);
  assert.match((await failure(callDaemon(bed.path, "toString", {}))).message, /"toString" is not known to process \d+/);
  assert.equal(await callDaemon(bed.path, "echo", 1), 1);
});

Deno.test("ControlServer survives garbage, silence and askers that leave", async () => {
  await using bed = new Bed();
  const connect = () => Deno.connect({ transport: "unix", path: `${bed.path}.sock` });
  const garbage = await connect();
  await garbage.write(new TextEncoder().encode("{nonsense\n"));
  const buffer = new Uint8Array(1000);
  const count = await garbage.read(buffer);
  assert.match(new TextDecoder().decode(buffer.subarray(0, count ?? 0)), /^\{"error":\{"message":/);
  garbage.close();
  const leaver = await connect();
  await leaver.write(new TextEncoder().encode('{"method":"echo","params":1}\n'));
  leaver.close();
  const silent = await connect();
  assert.equal(await callDaemon(bed.path, "echo", 2), 2);
  // The end of the server does not wait for it.
  await bed.server?.close();
  bed.server = undefined;
  assert.equal(await silent.read(buffer), null);
  silent.close();
});

Deno.test("ControlServer replaces the socket of a process that died", async () => {
  await using bed = new Bed();
  await bed.server?.close();
  const socket = `${bed.path}.sock`;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `Deno.listen({ transport: "unix", path: ${JSON.stringify(socket)} }); Deno.kill(Deno.pid, "SIGKILL");`,
    ],
    stderr: "null",
  });
  assert.equal((await child.output()).signal, "SIGKILL");
  assert.ok(Deno.lstatSync(socket).isSocket);
  bed.server = ControlServer.open(bed.store, HANDLERS, bed.log);
  assert.equal(await callDaemon(bed.path, "echo", 3), 3);
});

Deno.test("ControlServer leaves alone what is no socket, and listens elsewhere", async () => {
  await using bed = new Bed();
  await bed.server?.close();
  Deno.writeTextFileSync(`${bed.path}.sock`, "mine");
  bed.server = ControlServer.open(bed.store, HANDLERS, bed.log);
  assert.notEqual(bed.server?.path, `${bed.path}.sock`);
  assert.equal(Deno.readTextFileSync(`${bed.path}.sock`), "mine");
  assert.equal(await callDaemon(bed.path, "echo", 5), 5);
});

Deno.test("ControlServer of a store with a long path listens on a short one that commands find", async () => {
  await using bed = new Bed("a".repeat(60) + "/" + "b".repeat(60));
  const path = bed.server?.path ?? "";
  assert.ok(path !== "" && path.length <= 107, path);
  const folder = Deno.lstatSync(path.slice(0, path.lastIndexOf("/")));
  assert.equal((folder.mode ?? 0) & 0o777, 0o700);
  assert.equal(bed.store.meta("socket"), path);
  assert.equal(await callDaemon(bed.path, "echo", 4), 4);
});

Deno.test("callDaemon() returns undefined when no process holds the store", async () => {
  await using bed = new Bed();
  await bed.server?.close();
  bed.server = undefined;
  bed.store.close();
  assert.equal(await callDaemon(bed.path, "echo", {}), undefined);
  assert.equal(await callDaemon(join(bed.dir, "nothing.db"), "echo", {}), undefined);
});

Deno.test("callDaemon() ends with 7 when the process that holds the store does not answer", async () => {
  const answer = Promise.withResolvers<string>();
  await using bed = new Bed("", { slow: () => answer.promise });
  const late = await failure(callDaemon(bed.path, "slow", {}, { timeoutMs: 50 }));
  assert.equal(late.exitCode, EXIT.state);
  assert.match(late.message, /does not answer/);
  answer.resolve("at last");
  await bed.server?.close();
  bed.server = undefined;
  const { message, exitCode } = await failure(callDaemon(bed.path, "echo", {}, { patienceMs: 0 }));
  assert.equal(exitCode, EXIT.state);
  assert.match(message, new RegExp(`in use by process ${Deno.pid}`));
});
