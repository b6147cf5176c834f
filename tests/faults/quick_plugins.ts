/**
 * The `local` driver behind the real host, without a process of Deno for each: the plugin is a shell that joins its pipes
 * to a socket of this process, where the driver's own code answers. For thousands of starts of the engine.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { discoverPlugins, type PluginSet } from "../../lib/host/mod.ts";
import { serveStreams } from "../../lib/protocol/serve.ts";
import { LocalDriver } from "../../plugins/local/driver.ts";
import manifest from "../../plugins/local/filesync-plugin.json" with { type: "json" };

export class QuickPlugins implements AsyncDisposable {
  readonly plugins: PluginSet;
  readonly #dir = mkdtempSync(join(tmpdir(), "filesync-quick-"));
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  constructor() {
    const { port } = this.#listener.addr as Deno.NetAddr;
    const script = join(this.#dir, "join.sh");
    writeFileSync(script, `#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/${port}\ncat <&0 >&3 &\nexec cat <&3\n`);
    chmodSync(script, 0o755);
    const { permissions: _none, ...rest } = manifest;
    writeFileSync(join(this.#dir, "filesync-plugin.json"), JSON.stringify({ ...rest, command: ["./join.sh"] }));
    this.plugins = discoverPlugins({
      configDirs: [this.#dir],
      builtIn: [],
      env: () => undefined,
      systemDir: join(this.#dir, "none"),
    });
    this.#accepting = this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      const serving = this.#serve(connection).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    }
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
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
      await serveStreams(new LocalDriver(), manifest, { input: input(), write });
    } catch {
      // The host is gone: so is this driver.
    } finally {
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    await Promise.allSettled(this.#serving);
    rmSync(this.#dir, { recursive: true });
  }
}
