/**
 * What the streams of this process are connected to, and so what may be written there.
 */

export interface Terminal {
  /** Live lines may be painted on stderr. */
  live: boolean;
  /** stderr may be coloured. */
  colour: boolean;
  /** stdout may be coloured. */
  stdoutColour: boolean;
  /** stderr goes to the systemd journal. */
  journal: boolean;
  /** Other characters than ASCII may be drawn. */
  unicode: boolean;
}

type Env = (name: string) => string | undefined;

/** Looks at the environment and the streams. */
export function detectTerminal(env: Env): Terminal {
  const smart = env("TERM") !== "dumb" && (env("TERM") ?? "") !== "";
  // https://no-color.org: set and not empty.
  const mayColour = smart && (env("NO_COLOR") ?? "") === "";
  const live = smart && Deno.stderr.isTerminal();
  const locale = env("LC_ALL") || env("LC_CTYPE") || env("LANG") || "";
  return {
    live,
    colour: live && mayColour,
    stdoutColour: mayColour && Deno.stdout.isTerminal(),
    journal: isJournal(env("JOURNAL_STREAM")),
    unicode: /utf-?8/i.test(locale),
  };
}

/** systemd sets `JOURNAL_STREAM=<device>:<inode>`; a child with another stderr inherits the variable but not the stream. */
function isJournal(stream: string | undefined): boolean {
  if (stream === undefined || stream === "") return false;
  try {
    const { dev, ino } = Deno.statSync("/dev/stderr");
    return `${dev}:${ino}` === stream;
  } catch {
    return false;
  }
}

/** How wide the terminal is that results go to; `undefined` where they go elsewhere: nothing is wrapped for a program. */
export function stdoutColumns(): number | undefined {
  return Deno.stdout.isTerminal() ? terminalSize().columns : undefined;
}

/** How wide the terminal is that words for people go to; `undefined` where they go elsewhere. */
export function stderrColumns(): number | undefined {
  return Deno.stderr.isTerminal() ? terminalSize().columns : undefined;
}

/** The size of the terminal behind stderr; 80 × 24 when it does not tell. */
export function terminalSize(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // No terminal on any standard stream.
  }
  return { columns: 80, rows: 24 };
}
