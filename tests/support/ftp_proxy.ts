/**
 * Stands on the control connection between driver and server and makes the server odd: answers in its place, changes or
 * loses its replies. Data connections go past it.
 */
import { Turns } from "./ftp_wire.ts";

export interface FtpProxyHooks {
  /** A line of reply instead of forwarding the command; `"cut"` ends the connection. */
  onCommand?: (line: string) => string | undefined;
  /** The reply to pass on; `"cut"` ends the connection instead. */
  onReply?: (verb: string, reply: string) => string;
}

export interface FtpProxy {
  port: number;
  hooks: FtpProxyHooks;
  /** Commands that came, in order, over all connections. */
  commands: string[];
  stop(): Promise<void>;
}

/** Starts a proxy for the server at `port` of loopback. */
export function startFtpProxy(port: number, hooks: FtpProxyHooks): FtpProxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns = new Set<Deno.Conn>();
  const running: Promise<void>[] = [];
  const proxy: FtpProxy = {
    port: listener.addr.port,
    hooks,
    commands: [],
    async stop() {
      listener.close();
      for (const conn of conns) close(conn);
      await Promise.all(running);
    },
  };
  const close = (conn: Deno.Conn) => {
    if (!conns.delete(conn)) return;
    conn.close();
  };
  async function serve(client: Deno.Conn): Promise<void> {
    conns.add(client);
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    conns.add(server);
    const verbs: string[] = ["greeting"];
    const turns = new Turns();
    const cut = () => {
      turns.stop();
      close(client);
      close(server);
    };
    const up = lines(client, async (line) => {
      // Commands that come together are passed on one after the other, so that hooks meet the right replies.
      await turns.next();
      proxy.commands.push(line);
      const answer = proxy.hooks.onCommand?.(line);
      if (answer === "cut") return cut();
      if (answer !== undefined) {
        await send(client, answer);
        return turns.end();
      }
      verbs.push(line.split(" ", 1)[0]!);
      await send(server, line);
    });
    const down = lines(server, async (line) => {
      const reply = proxy.hooks.onReply?.(verbs[0] ?? "", line) ?? line;
      const isEnd = /^[2-6]\d\d /.test(line);
      if (isEnd) verbs.shift();
      if (reply === "cut") return cut();
      await send(client, reply);
      if (isEnd) turns.end();
    });
    await Promise.race([up, down]);
    cut();
    await Promise.all([up, down]);
  }
  running.push((async () => {
    for (;;) {
      let client: Deno.Conn;
      try {
        client = await listener.accept();
      } catch {
        return;
      }
      running.push(serve(client).catch(() => close(client)));
    }
  })());
  return proxy;
}

async function lines(conn: Deno.Conn, take: (line: string) => void | Promise<void>): Promise<void> {
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(16 * 1024);
  let rest = "";
  try {
    for (let count = await conn.read(bytes); count !== null; count = await conn.read(bytes)) {
      const parts = (rest + decoder.decode(bytes.subarray(0, count), { stream: true })).split("\r\n");
      rest = parts.pop()!;
      for (const part of parts) await take(part);
    }
  } catch {
    // Closed by either side.
  }
}

async function send(conn: Deno.Conn, line: string): Promise<void> {
  const bytes = new TextEncoder().encode(`${line}\r\n`);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
