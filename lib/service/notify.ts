/**
 * What systemd is told of a service of `Type=notify` (sd_notify(3)): that it is ready, that it lives, what it does.
 * Outside systemd nothing is told, and nothing here ever fails the work.
 */

/** A service as systemd sees it. */
export interface Notifier {
  /** `STATUS=` and `READY=1`: files may move. */
  ready(status: string): void;
  /** The words of `systemctl status`; the last of an interval is told with the next sign of life. */
  status(words: string): void;
  /** `STOPPING=1`. */
  stopping(): void;
  close(): void;
}

/** What a notifier is made of. */
export interface NotifierOptions {
  /** `$NOTIFY_SOCKET`, `$WATCHDOG_USEC`, `$WATCHDOG_PID`. */
  env: (name: string) => string | undefined;
  /** This process. @default {Deno.pid} */
  pid?: number;
}

/** How often the words are told where there is no watchdog, milliseconds. */
const STATUS_MS = 30_000;

const NOBODY: Notifier = { ready() {}, status() {}, stopping() {}, close() {} };

/** The notifier of this process; one that tells nobody when systemd does not listen. */
export function makeNotifier({ env, pid = Deno.pid }: NotifierOptions): Notifier {
  const socket = env("NOTIFY_SOCKET");
  if (socket === undefined || socket === "") return NOBODY;
  // A name that starts with "@" is in the abstract namespace, which the runtime cannot reach; systemd has used a path since 2014.
  if (!socket.startsWith("/")) return NOBODY;
  let conn: Deno.DatagramConn;
  const own = `${Deno.makeTempDirSync({ prefix: "filesync-notify-" })}/socket`;
  try {
    conn = Deno.listenDatagram({ transport: "unixpacket", path: own });
  } catch {
    removeQuietly(own);
    return NOBODY;
  }
  const send = (text: string) => {
    conn.send(new TextEncoder().encode(text), { transport: "unixpacket", path: socket }).catch(() => {
      // systemd restarts a service that it hears nothing of: that is all there is to do.
    });
  };
  let words: string | undefined;
  const tick = () => {
    send(words === undefined ? "WATCHDOG=1" : `WATCHDOG=1\nSTATUS=${words}`);
    words = undefined;
  };
  const timer = setInterval(tick, watchdogMs(env, pid) ?? STATUS_MS);
  Deno.unrefTimer(timer as unknown as number);
  return {
    ready: (status) => send(`READY=1\nSTATUS=${oneLine(status)}`),
    status: (text) => void (words = oneLine(text)),
    stopping: () => send("STOPPING=1"),
    close() {
      clearInterval(timer);
      conn.close();
      removeQuietly(own);
    },
  };
}

/** A third of what systemd waits for a sign of life, milliseconds; absent: it does not wait for one of ours. */
function watchdogMs(env: NotifierOptions["env"], pid: number): number | undefined {
  const microseconds = Number(env("WATCHDOG_USEC") ?? NaN);
  const isOurs = (env("WATCHDOG_PID") ?? String(pid)) === String(pid);
  return isOurs && microseconds > 0 ? Math.max(100, microseconds / 3000) : undefined;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function removeQuietly(socket: string): void {
  for (const path of [socket, socket.replace(/\/socket$/, "")]) {
    try {
      Deno.removeSync(path);
    } catch {
      // It was never made, or is gone.
    }
  }
}
