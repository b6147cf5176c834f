/** How bytes of the simulator reach a client. */

export type TransportOptions =
  /** The vehicle sends to `port` from the start, as PX4 does to a ground station. */
  | { kind: "udp"; to: number; host?: string; localPort?: number }
  /** The vehicle waits on a port and answers whom it heard last. */
  | { kind: "udp-listen"; port?: number; host?: string }
  | { kind: "tcp"; port?: number; host?: string }
  /** A pty pair by socat. `byIdDir` gets a link that follows the device through replugs. */
  | { kind: "serial"; baud?: number; byIdDir?: string };

export interface Transport {
  /** `url` of the driver mavftp that reaches it. */
  readonly url: string;
  readonly port?: number;
  /** Device that the client opens. */
  readonly path?: string;
  send(bytes: Uint8Array): void;
  /** Pulls the cable or closes connections; {@linkcode replug} brings it back. */
  unplug(): Promise<void>;
  replug(): Promise<void>;
  stop(): Promise<void>;
}

export type OnBytes = (bytes: Uint8Array) => void;
