import assert from "node:assert/strict";
import { join } from "node:path";
import { makeNotifier } from "./notify.ts";

Deno.test("makeNotifier() tells nobody where no service manager listens", () => {
  for (const socket of [undefined, "", "@abstract", "/nowhere/socket"]) {
    const notifier = makeNotifier({ env: (name) => name === "NOTIFY_SOCKET" ? socket : undefined });
    notifier.ready("a");
    notifier.status("b");
    notifier.stopping();
    notifier.close();
  }
});

Deno.test("makeNotifier() tells that it is ready, that it lives with its last words, and that it stops", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-notify-test-" });
  const systemd = Deno.listenDatagram({ transport: "unixpacket", path: join(dir, "notify") });
  const env: Record<string, string> = { NOTIFY_SOCKET: join(dir, "notify"), WATCHDOG_USEC: "300000" };
  const notifier = makeNotifier({ env: (name) => env[name] });
  const heard = async () => new TextDecoder().decode((await systemd.receive())[0]);
  try {
    notifier.ready("Running,\n nothing delivered yet");
    assert.equal(await heard(), "READY=1\nSTATUS=Running, nothing delivered yet");
    notifier.status("1 file");
    notifier.status("2 files");
    assert.equal(await heard(), "WATCHDOG=1\nSTATUS=2 files");
    assert.equal(await heard(), "WATCHDOG=1");
    notifier.stopping();
    let last = await heard();
    while (last === "WATCHDOG=1") last = await heard();
    assert.equal(last, "STOPPING=1");
  } finally {
    notifier.close();
    systemd.close();
    await Deno.remove(dir, { recursive: true });
  }
});
