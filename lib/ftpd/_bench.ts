/** A server for one test, with clients that are closed in the end. */
import { ControlClient } from "./_control_client.ts";
import { type FtpEvent, type FtpServer, type FtpServerOptions, startFtpServer } from "./mod.ts";

/** A server of a test. */
export interface Bench {
  server: FtpServer;
  root: string;
  events: FtpEvent[];
  /** A client that is logged in; closed at the end. */
  login(): Promise<ControlClient>;
}

/** Runs a test with a server of its own, of which nothing is left afterwards. */
export async function bench(options: Partial<FtpServerOptions>, run: (bench: Bench) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "filesync-ftpd-" });
  const events: FtpEvent[] = [];
  const server = await startFtpServer({
    root,
    user: "pilot",
    passwd: "secret",
    log: (event) => events.push(event),
    ...options,
    limits: { loginDelayMs: 1, ...options.limits },
  });
  const clients: ControlClient[] = [];
  try {
    const login = async () => {
      const client = await ControlClient.login(server.port);
      clients.push(client);
      return client;
    };
    await run({ server, root, events, login });
  } finally {
    for (const client of clients) client.close();
    await server.stop();
    await Deno.remove(root, { recursive: true });
  }
}

export const bytesOf = (text: string) => new TextEncoder().encode(text);
