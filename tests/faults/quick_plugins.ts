/**
 * The built-in drivers behind the real host, without a process of Deno for each: the plugin is a shell that joins its
 * pipes to a socket of this process, where the driver's own code answers. For thousands of starts of the engine.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Driver } from "../../lib/driver/mod.ts";
import { discoverPlugins, type PluginSet } from "../../lib/host/mod.ts";
import { type ServeManifest, serveStreams } from "../../lib/protocol/serve.ts";
import { FtpDriver } from "../../plugins/ftp/driver.ts";
import ftp from "../../plugins/ftp/filesync-plugin.json" with { type: "json" };
import { LocalDriver } from "../../plugins/local/driver.ts";
import local from "../../plugins/local/filesync-plugin.json" with { type: "json" };

export class QuickPlugins implements AsyncDisposable {
  readonly plugins: PluginSet;
  readonly #dir = mkdtempSync(join(tmpdir(), "filesync-quick-"));
  readonly #listeners: Deno.Listener[] = [];
  readonly #serving = new Set<Promise<void>>();

  constructor() {
    this.#add(local, () => new LocalDriver());
    this.#add(ftp as ServeManifest, () => new FtpDriver());
    this.plugins = discoverPlugins({
      configDirs: [this.#dir],
      builtIn: [],
      env: () => undefined,
      systemDir: join(this.#dir, "none"),
    });
  }

  #add(manifest: ServeManifest, driver: () => Driver): void {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#listeners.push(listener);
    const { port } = listener.addr as Deno.NetAddr;
    const folder = join(this.#dir, manifest.name);
    mkdirSync(folder);
    writeFileSync(
      join(folder, "join.sh"),
      `#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/${port}\ncat <&0 >&3 &\nexec cat <&3\n`,
    );
    chmodSync(join(folder, "join.sh"), 0o755);
    const { permissions: _none, ...rest } = manifest as ServeManifest & { permissions?: unknown };
    writeFileSync(join(folder, "filesync-plugin.json"), JSON.stringify({ ...rest, command: ["./join.sh"] }));
    this.#note(this.#accept(listener, manifest, driver));
  }

  #note(work: Promise<void>): void {
    const noted = work.finally(() => this.#serving.delete(noted));
    this.#serving.add(noted);
  }

  async #accept(listener: Deno.Listener, manifest: ServeManifest, driver: () => Driver): Promise<void> {
    for await (const connection of listener) this.#note(serveOn(connection, manifest, driver()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    await Promise.allSettled(this.#serving);
    rmSync(this.#dir, { recursive: true });
  }
}

async function serveOn(connection: Deno.Conn, manifest: ServeManifest, driver: Driver): Promise<void> {
  const write = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  };
  async function* input(): AsyncGenerator<Uint8Array> {
    const block = new Uint8Array(65536);
    for (;;) {
      const count = await connection.read(block).catch(() => null);
      if (count === null) return;
      yield block.slice(0, count);
    }
  }
  try {
    await serveStreams(driver, manifest, { input: input(), write });
  } catch {
    // The host is gone: so is this driver.
  } finally {
    connection.close();
  }
}
