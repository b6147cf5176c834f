/** A simulated autopilot on a real transport, at the pace of the real clock. */
import { AutopilotCore } from "./core.ts";
import type { Files } from "./files.ts";
import type { CoreOptions } from "./options.ts";
import type { OtherStation } from "./other_station.ts";
import { RealTime } from "./realtime.ts";
import { Scheduler } from "./scheduler.ts";
import type { Stats } from "./stats.ts";
import { SerialTransport } from "./transport/serial.ts";
import { TcpTransport } from "./transport/tcp.ts";
import type { OnBytes, Transport, TransportOptions } from "./transport/transport.ts";
import { UdpTransport } from "./transport/udp.ts";
import type { Vehicle } from "./vehicle.ts";

export interface AutopilotOptions extends CoreOptions {
  transport: TransportOptions;
}

export interface RebootOptions {
  /** How long nothing is heard. Default: 3000. */
  silentMs?: number;
  /** What happens to the card meanwhile. */
  changes?: (files: Files) => void;
  /** USB and TCP go away and come back. Default: serial lines only. */
  replugs?: boolean;
  /** Which vehicle. Default: the first. */
  vehicle?: number;
}

export interface Autopilot {
  readonly core: AutopilotCore;
  /** `url` of the driver mavftp that reaches it. */
  readonly url: string;
  readonly port: number | undefined;
  /** The serial device as it is named now. */
  readonly path: string | undefined;
  readonly vehicles: Vehicle[];
  readonly files: Files;
  readonly stats: Stats;
  /** Milliseconds since the start, the clock of {@linkcode stats}. */
  nowMs(): number;
  arm(): void;
  disarm(): void;
  /** Restarts a vehicle; settles when it is back. */
  reboot(options?: RebootOptions): Promise<void>;
  /** Pulls the cable, or breaks connections. */
  unplug(): Promise<void>;
  replug(): Promise<void>;
  /** Another ground station on the same link. */
  station(systemId?: number, componentId?: number): OtherStation;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

function openTransport(options: TransportOptions, onBytes: OnBytes): Promise<Transport> {
  switch (options.kind) {
    case "udp":
      return UdpTransport.open(options, onBytes);
    case "udp-listen": {
      const { host, port } = options;
      return UdpTransport.open({
        ...(host === undefined ? {} : { host }),
        ...(port === undefined ? {} : { localPort: port }),
      }, onBytes);
    }
    case "tcp":
      return TcpTransport.open(options, onBytes);
    case "serial":
      return SerialTransport.open(options, onBytes);
  }
}

/** Starts it; {@linkcode Autopilot.stop} leaves nothing behind. */
export async function startAutopilot({ transport: way, ...options }: AutopilotOptions): Promise<Autopilot> {
  const scheduler = new Scheduler();
  const isStream = way.kind === "tcp" || way.kind === "serial";
  const filled: CoreOptions = way.kind === "serial" ? forSerial(options, way.baud ?? 115200) : options;
  let onBytes: OnBytes = () => {};
  const transport = await openTransport(way, (bytes) => onBytes(bytes));
  const core = new AutopilotCore(filled, scheduler, isStream ? "stream" : "datagrams");
  core.onOutput = (bytes) => transport.send(bytes);
  const time = new RealTime(scheduler);
  onBytes = (bytes) => time.now(() => core.receive(bytes));
  const { vehicle } = core;
  const sleep = (ms: number) => new Promise<void>((resolve) => scheduler.after(ms, resolve));
  const running: Autopilot = {
    core,
    get url() {
      return transport.url;
    },
    port: transport.port,
    get path() {
      return transport.path;
    },
    vehicles: core.vehicles,
    files: vehicle.files,
    stats: vehicle.stats,
    nowMs: () => time.nowMs,
    arm: () => time.now(() => vehicle.arm()),
    disarm: () => time.now(() => vehicle.disarm()),
    async reboot({ silentMs = 3000, changes, replugs = way.kind === "serial", vehicle: n = 0 } = {}) {
      const which = core.vehicles[n]!;
      time.now(() => which.down());
      if (replugs) await running.unplug();
      await sleep(silentMs);
      changes?.(which.files);
      if (replugs) await running.replug();
      time.now(() => which.up());
    },
    async unplug() {
      await transport.unplug();
      time.now(() => core.disconnect());
    },
    replug: () => transport.replug(),
    station: (systemId, componentId) => core.station(systemId, componentId),
    async stop() {
      time.stop();
      await transport.stop();
    },
    [Symbol.asyncDispose]: () => running.stop(),
  };
  return running;
}

/** A serial line has the rate of its baud, and PX4's is USB as a rule: silent until it hears a heartbeat. */
function forSerial(options: CoreOptions, baud: number): CoreOptions {
  const rate = { bytesPerSecond: baud / 10 };
  const link = { ...options.link, down: { ...rate, ...options.link?.down }, up: { ...rate, ...options.link?.up } };
  const isPx4 = (options.personality ?? "px4-main").startsWith("px4");
  return { silentUntilHeartbeat: isPx4, ...options, link };
}
