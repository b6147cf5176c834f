/** A directory behind a real FTP server and a driver that is connected to it. */
import assert from "node:assert/strict";
import { DriverError, type Role, type UploadParams } from "../../lib/driver/mod.ts";
import { FtpDriver } from "../../plugins/ftp/driver.ts";
import manifest from "../../plugins/ftp/filesync-plugin.json" with { type: "json" };
import { type OpenDriver, openDriver } from "./direct_call.ts";
import { type FtpServer, type FtpServerKind, type FtpServerOptions, startFtpServer } from "./ftp_servers.ts";

export interface FtpBedOptions extends Partial<FtpServerOptions> {
  /** Arguments of the driver beside the server's own. */
  args?: Record<string, unknown>;
  makeDriver?: () => FtpDriver;
}

export interface FtpBed extends OpenDriver<FtpDriver> {
  root: string;
  local: string;
  server: FtpServer;
  write(path: string, bytes: Uint8Array | string): Promise<void>;
  read(path: string): Promise<Uint8Array>;
  uploadOf(path: string, bytes: Uint8Array, more?: Partial<UploadParams>): Promise<UploadParams>;
  /** Another driver with other arguments on the same server. */
  open(args?: Record<string, unknown>, role?: Role): Promise<OpenDriver<FtpDriver>>;
  /** Files of the tests belong to the user that the server runs as. */
  own(path: string): Promise<void>;
}

/** Runs `run` with a server of its own and cleans up. */
export async function withFtp(
  kind: FtpServerKind,
  run: (bed: FtpBed) => Promise<void>,
  { args = {}, makeDriver = () => new FtpDriver(), ...options }: FtpBedOptions = {},
): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "filesync-ftp-root-" });
  await Deno.chmod(root, 0o777);
  const local = await Deno.makeTempDir({ prefix: "filesync-ftp-local-" });
  const server = await startFtpServer(kind, { root, ...options });
  const { host, port, user, passwd } = server;
  const open = (more?: Record<string, unknown>, role?: Role) =>
    openDriver(makeDriver(), manifest, { host, port, user, passwd, ...args, ...more }, role);
  const opened = await open();
  let count = 0;
  const bed: FtpBed = {
    ...opened,
    root,
    local,
    server,
    async write(path, bytes) {
      const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
      await Deno.mkdir(`${root}/${parent}`, { recursive: true });
      await Deno.writeFile(`${root}/${path}`, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
      await Deno.chmod(`${root}/${path}`, 0o666);
      await bed.own(path);
    },
    async own(path) {
      if (kind === "pure-ftpd") await Deno.chown(`${root}/${path}`, 1, 1);
    },
    open,
    read: (path) => Deno.readFile(`${root}/${path}`),
    async uploadOf(path, bytes, more = {}) {
      const spoolFile = `${local}/spool-${count++}`;
      await Deno.writeFile(spoolFile, bytes);
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)));
      return { spoolFile, path, sizeBytes: bytes.length, sha256: hash.toHex(), onExisting: "rename", ...more };
    },
  };
  try {
    await run(bed);
  } finally {
    await opened.close();
    await bed.server.stop();
    await Deno.remove(root, { recursive: true });
    await Deno.remove(local, { recursive: true });
  }
}

/** Bytes that nothing compresses. */
export function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(count, at + 65536)));
  return bytes;
}

/** The error of `run`, whose code must be `code`. */
export async function rejectsWith(code: string, run: () => Promise<unknown>): Promise<DriverError> {
  let caught: unknown;
  try {
    await run();
  } catch (error) {
    caught = error;
  }
  assert.ok(caught instanceof DriverError, `expected a DriverError ${code}, got ${caught}`);
  assert.equal(caught.code, code, caught.message);
  return caught;
}

/** Names in the server's root. */
export function names(bed: FtpBed): string[] {
  return [...Deno.readDirSync(bed.root)].map(({ name }) => name).sort();
}
