/** The two ends of a pipeline, by protocol: a directory that the verifier can read, and the way the program reaches it. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type FtpServer, type FtpServerKind, type FtpServerOptions, startFtpServer } from "../support/ftp_servers.ts";
import { FtpWire, type WireHooks } from "../support/ftp_wire.ts";
import {
  type Autopilot,
  Files,
  PERSONALITIES,
  type PersonalityName,
  startAutopilot,
} from "../support/autopilot/mod.ts";
import { HttpRelay } from "../support/http_relay.ts";
import { startWebdavServer } from "../support/webdav_servers.ts";
import { FlightReview, type StoredLog } from "../support/flight_review.ts";
import { DriveEnd, type DriveOptions } from "./drive_end.ts";

export interface EndOptions {
  /** Where its files lie. */
  dir: string;
  role: "source" | "target";
  ftp?: {
    kind?: FtpServerKind;
    hooks?: WireHooks;
    bytesPerSecond?: number;
    server?: Partial<FtpServerOptions>;
    /** Arguments of the driver. */
    args?: Record<string, unknown>;
  };
  vehicle?: { personality?: PersonalityName };
  drive?: DriveOptions;
}

export interface End {
  dir: string;
  /** What the configuration says of the device. */
  device: { driver: string; args: Record<string, unknown> };
  /** Present where the bytes cross a network. */
  ftp?: FtpEnd;
  /** Present where they cross HTTP to a WebDAV server. */
  dav?: HttpRelay;
  /** Present where they are sent as a form. */
  form?: FormEnd;
  /** Present where they come from an autopilot's card. */
  vehicle?: Autopilot;
  /** Present where they lie on a flash drive. */
  drive?: DriveEnd;
  close(): Promise<void>;
}

/** Opens an end of each protocol; a new protocol is one more line. */
export const ENDS: Record<string, (options: EndOptions) => Promise<End>> = {
  local: ({ dir }) =>
    Promise.resolve({ dir, device: { driver: "local", args: { dir } }, close: () => Promise.resolve() }),
  ftp: async (options) => {
    const ftp = await FtpEnd.open(options);
    return { dir: options.dir, device: ftp.device, ftp, close: () => ftp.close() };
  },
  webdav: async ({ dir }) => {
    const server = await startWebdavServer("apache", { root: dir });
    const dav = await HttpRelay.start(server.port);
    const { user, passwd } = server;
    const args = { host: `http://127.0.0.1:${dav.port}/dav/`, user, passwd };
    const close = async () => {
      await dav.stop();
      await server.stop();
    };
    return { dir, device: { driver: "webdav", args }, dav, close };
  },
  disk: async ({ dir, role, drive: made }) => {
    const drive = await DriveEnd.open(dir, role, made);
    return { dir, device: drive.device, drive, close: () => drive.close() };
  },
  post: async ({ dir }) => {
    const form = await FormEnd.open(dir);
    return { dir, device: form.device, form, close: () => form.close() };
  },
  mavftp: async ({ dir, vehicle: flown }) => {
    const personality = flown?.personality ?? "px4-main";
    const vehicle = await startAutopilot({
      personality,
      files: Files.ofDirectory(dir, PERSONALITIES[personality].logRoot),
      uid: 0x1122334455667788n,
      link: { down: { bytesPerSecond: VEHICLE_BYTES_PER_SECOND } },
      transport: { kind: "udp-listen", port: 0 },
    });
    const args = { url: vehicle.url, settle_after_disarm: 0 };
    return { dir, device: { driver: "mavftp", args }, vehicle, close: () => vehicle.stop() };
  },
};

/** Slow enough that a file is met in its middle, and that the simulator keeps up beside other work. */
const VEHICLE_BYTES_PER_SECOND = 400_000;

/** First bytes of every file that an end takes: a Flight Review takes logs only. */
export const MAGIC: Record<string, Uint8Array> = {
  post: new Uint8Array([0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35]),
};

/**
 * A Flight Review with public logs, so that it can be asked what it has. A form knows no folders: a log lies under the
 * path of the file whose bytes it has, and under another name when it comes a second time.
 */
export class FormEnd {
  readonly server: FlightReview;
  readonly device: { driver: string; args: Record<string, unknown> };
  /** Paths of the source, by SHA-256. */
  readonly paths = new Map<string, string>();

  private constructor(server: FlightReview) {
    this.server = server;
    const values = { type: "flightreport", public: "true", email: "" };
    this.device = { driver: "post", args: { uploader_url: server.url, preset: "px4", values } };
  }

  static async open(dir: string): Promise<FormEnd> {
    const server: FlightReview = await FlightReview.start({ onTaken: (log) => end.#keep(dir, log) });
    const end = new FormEnd(server);
    return end;
  }

  #keep(dir: string, { bytes, fileName }: StoredLog): void {
    const path = join(dir, this.paths.get(createHash("sha256").update(bytes).digest("hex")) ?? `strange ${fileName}`);
    mkdirSync(dirname(path), { recursive: true });
    let name = path;
    for (let n = 2; existsSync(name); n++) name = `${path}~${n}`;
    // The server's own way, beside what is looked at.
    writeFileSync(`${dir}.taking`, bytes);
    renameSync(`${dir}.taking`, name);
  }

  async close(): Promise<void> {
    await this.server.stop();
  }
}

/** A real server with the wire before it. The server can be killed and started again on its port. */
export class FtpEnd {
  readonly wire: FtpWire;
  readonly device: { driver: string; args: Record<string, unknown> };
  readonly kind: FtpServerKind;
  #server: FtpServer;
  readonly #options: Partial<FtpServerOptions> & { root: string };

  private constructor(server: FtpServer, wire: FtpWire, options: EndOptions) {
    this.#server = server;
    this.wire = wire;
    this.kind = server.kind;
    this.#options = { ...options.ftp?.server, root: options.dir };
    const { host, user, passwd } = server;
    this.device = { driver: "ftp", args: { host, port: wire.port, user, passwd, ...options.ftp?.args } };
  }

  static async open(options: EndOptions): Promise<FtpEnd> {
    const { kind = "pure-ftpd", hooks, bytesPerSecond, server: more } = options.ftp ?? {};
    const server = await startFtpServer(kind, { ...more, root: options.dir });
    const wire = await FtpWire.start({
      serverPort: () => server.port,
      ...(hooks === undefined ? {} : { hooks }),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    });
    return new FtpEnd(server, wire, options);
  }

  /** Kills the server with all its connections. */
  async kill(): Promise<void> {
    await this.#server.stop();
  }

  async restart(): Promise<void> {
    await this.#server.stop();
    this.#server = await startFtpServer(this.kind, { ...this.#options, port: this.#server.port });
  }

  async close(): Promise<void> {
    await this.wire.stop();
    await this.#server.stop();
  }
}
