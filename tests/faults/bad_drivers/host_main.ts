/** A host with one device, for tests that kill the host. Prints the plugin's pid and the directory that is left behind. */
import { openBad } from "./open.ts";

const [fault = "", ...command] = Deno.args;
const bad = openBad({ args: { fault }, ...(command.length > 0 ? { command } : {}) });
const starting = bad.device.capabilities();
// A mute plugin never finishes its handshake; its process is what matters here.
starting.catch(() => {});
while (bad.device.pid === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
if (command.length === 0) await starting;
console.log(bad.device.pid, bad.dir);
await new Promise((resolve) => setTimeout(resolve, 60_000));
