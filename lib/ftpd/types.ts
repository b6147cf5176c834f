/** What the server is told and what it tells. */
import type { ServerIdentity } from "./certificate.ts";

/** One line of the server's log, as data. Never holds a password. */
export type FtpEvent =
  | { event: "connected" | "closed"; peer: string }
  | { event: "login" | "login_failed"; peer: string; user: string }
  | { event: "refused"; peer: string; reason: string }
  | {
    event: "download" | "upload";
    peer: string;
    path: string;
    bytes: number;
    elapsedMs: number;
    /** Absent when the transfer came to its end. */
    error?: string;
  }
  | { event: "removed" | "made" | "renamed"; peer: string; path: string; to?: string }
  /** A name in a directory that FTP cannot carry: it is left out of listings. */
  | { event: "unlisted"; peer: string; path: string; reason: string }
  | { event: "error"; peer: string; reason: string };

/** How long, how many: every loop and queue of the server has one of these. */
export interface FtpLimits {
  /** Control connections at once, all clients together. */
  connectionsMax: number;
  /** Control connections at once from one address. */
  connectionsPerAddressMax: number;
  /** A control connection without a command and without a transfer is closed after this, milliseconds. */
  idleMs: number;
  /** A data connection on which no byte moves is closed after this, milliseconds. */
  stallMs: number;
  /** How long a client may take to open the data connection, milliseconds. */
  dataConnectMs: number;
  /** Wait after the first wrong password from an address, milliseconds; doubles with each further one, 16 times at most. */
  loginDelayMs: number;
  /** Wrong passwords after which a control connection is closed. */
  loginAttemptsMax: number;
  /** An upload without a new byte for this long gives way to another upload of the same path, milliseconds. */
  abandonedMs: number;
}

/** Somebody who may log in. */
export interface FtpUser {
  user: string;
  /** Must not be empty. */
  passwd: string;
}

/** Options of {@linkcode startFtpServer}. */
export interface FtpServerOptions {
  /** The directory that is served; clients see it as `/`. Must exist. */
  root: string;
  /** The name that may log in and write. */
  user: string;
  /** Must not be empty: there is no default password. */
  passwd: string;
  /** Address to listen on. Default: `127.0.0.1`. */
  host?: string;
  /** Default: 0, which lets the system choose. */
  port?: number;
  /** First and last port of passive data connections. Default: the system chooses. */
  passivePorts?: { first: number; last: number };
  /** Who may log in and only read, beside `user`. */
  readers?: readonly FtpUser[];
  /** Most bytes that all files below `root` may have together. Default: what the disk has room for. */
  quotaBytes?: number;
  /** Refuses every command that changes something. Default: false. */
  readOnly?: boolean;
  /** Certificate and key for AUTH TLS, in PEM. With them nothing is served in the clear. Default: no TLS. */
  tls?: ServerIdentity;
  /** Default: `FTP_LIMITS`. */
  limits?: Partial<FtpLimits>;
  /** Must not throw and must not wait. */
  log?: (event: FtpEvent) => void;
}

/** A running server. */
export interface FtpServer {
  /** The port that it listens on. */
  readonly port: number;
  /** Ends every session and resolves when nothing of the server is left. */
  stop(): Promise<void>;
}

/** The part of a connection that a session uses, so that a TLS connection can take the place of a plain one. */
export interface Wire extends Pick<Deno.Conn, "read" | "write" | "close"> {
  /** Resolves when nothing of it is left, where that takes longer than `close()`. */
  readonly ended?: Promise<unknown>;
}

/** Writes all of `bytes`: a connection may take a part of them at a time. */
export async function writeAll(wire: Wire, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await wire.write(bytes.subarray(at));
}
