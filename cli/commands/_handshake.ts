/** Asking a driver what it is able to do: `initialize` never touches a device. */
import { prepareArgs } from "../../lib/config/args.ts";
import type { Capabilities, Role } from "../../lib/driver/mod.ts";
import { HostedDevice, type Plugin } from "../../lib/host/mod.ts";

/**
 * What a driver says that it can do, with folders of its own for that moment.
 * @throws {DriverError} its refusal, or `broken`
 */
export async function handshake(plugin: Plugin, role: Role, args: Record<string, unknown>): Promise<Capabilities> {
  const base = await Deno.makeTempDir({ prefix: "filesync-handshake-" });
  try {
    await Deno.mkdir(`${base}/spool`, { mode: 0o700 });
    await using client = new HostedDevice({
      plugin,
      name: plugin.name,
      role,
      args: prepareArgs(args, plugin.args, Deno.cwd()),
      spoolDir: `${base}/spool`,
      stateDir: `${base}/state`,
    });
    return await client.capabilities();
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}
