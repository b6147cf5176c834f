/** The two ends of a pipeline, by protocol: a directory that the verifier can read, and the way the program reaches it. */
import { type FtpServer, type FtpServerKind, type FtpServerOptions, startFtpServer } from "../support/ftp_servers.ts";
import { FtpWire, type WireHooks } from "../support/ftp_wire.ts";

export interface EndOptions {
  /** Where its files lie. */
  dir: string;
  ftp?: {
    kind?: FtpServerKind;
    hooks?: WireHooks;
    bytesPerSecond?: number;
    server?: Partial<FtpServerOptions>;
    /** Arguments of the driver. */
    args?: Record<string, unknown>;
  };
}

export interface End {
  dir: string;
  /** What the configuration says of the device. */
  device: { driver: string; args: Record<string, unknown> };
  /** Present where the bytes cross a network. */
  ftp?: FtpEnd;
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
};

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
