/**
 * The device as it is now: its link, the vehicle behind it, what was learned of both. Made at the first call, gone with
 * the cable, made anew at the next.
 */
import { type Call, type DeviceLink, DriverError, type InitializeParams } from "../../lib/driver/mod.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import type { MavftpConfig } from "./config.ts";
import { Directories, DirectoryMissing } from "./directory.ts";
import { DATA_BYTES_MAX } from "./ftp_codec.ts";
import type { GateState } from "./gate.ts";
import type { Journal } from "./journal.ts";
import type { Link } from "./link.ts";
import { AUTOPILOT } from "./messages.ts";
import { FtpSession } from "./session.ts";
import { openLink } from "./open_link.ts";
import { Signer, signingKey } from "./signing.ts";
import { Station } from "./station.ts";
import { type Experience, newExperience } from "./transfer.ts";

/** How long a call waits for the first heartbeat, milliseconds. */
const HEARD_MS = 5000;
/** How long a call waits for a vehicle that was just met to count as settled, milliseconds. */
const SETTLE_WAIT_MS = 30_000;
/** Where logs are, the first that is there. */
const ROOTS = ["@MAV_LOG", "/fs/microsd/log", "/APM/LOGS"];

/** An autopilot that says that it has no FTP is asked so often whether that is so. */
const FTP_OFF_TRIES = 3;

const encoder = new TextEncoder();

export interface ConnectionContext {
  config: MavftpConfig;
  params: InitializeParams;
  device: DeviceLink;
  journal: Journal;
}

export class Connection {
  readonly station: Station;
  readonly session: FtpSession;
  readonly directories: Directories;
  readonly experience: Experience = newExperience();
  readonly #context: ConnectionContext;
  readonly #link: Link;
  #root: string | undefined;
  #isIdentified = false;
  #wasHeld = false;
  /** Of ArduPilot: whether it logs while it is disarmed. */
  #logsDisarmed: boolean | undefined;

  private constructor(context: ConnectionContext, link: Link, station: Station) {
    this.#context = context;
    this.#link = link;
    this.station = station;
    this.session = new FtpSession(station, context.journal);
    this.directories = new Directories(station);
    station.onGate((state) => this.#tell(state));
  }

  /** Opens the link and begins our heartbeat. @throws {DriverError} `unavailable`, `denied` */
  static async open(context: ConnectionContext, onClosed: (connection: Connection) => void): Promise<Connection> {
    const { config, journal } = context;
    const made: { station?: Station; connection?: Connection } = {};
    const link = await openLink(config.url, {
      onBytes: (bytes) => made.station?.receive(bytes),
      onClosed: (error) => {
        made.station?.stop(error);
        if (made.connection !== undefined) onClosed(made.connection);
        context.device.state({ available: false, held: false, reason: error.message });
      },
    });
    const { signingKey: key } = config;
    const signer = key === undefined ? undefined : new Signer({
      key: signingKey(key),
      wallMs: Date.now,
      ...(journal.signingTime === undefined ? {} : { lastTime: journal.signingTime }),
      persist: (time) => journal.setSigningTime(time),
    });
    const station = made.station = new Station({
      clock: SYSTEM_CLOCK,
      random: Math.random,
      port: link,
      ownSystemId: config.ownSystemId,
      systemId: config.systemId,
      settleMs: config.settleMs,
      signer,
    });
    const connection = made.connection = new Connection(context, link, station);
    station.start();
    return connection;
  }

  get isUart(): boolean {
    return this.#link.isUart;
  }

  get name(): string {
    return this.#link.name;
  }

  /** Waits until the vehicle may be asked, and knows who it is. @throws {DriverError} `unavailable`, `held` */
  async ready(call: Call, doneBytes = 0): Promise<void> {
    const { station } = this;
    const { config, journal, device } = this.#context;
    const settleMs = Math.max(SETTLE_WAIT_MS, (config.settleMs ?? 0) + 2000);
    call.progress(doneBytes, { waitMs: HEARD_MS + settleMs + 30_000 });
    try {
      await station.ready({ heardMs: HEARD_MS, settleMs, signal: call.signal });
    } catch (error) {
      if (station.gate.state === "armed") this.#tell("armed");
      throw error;
    }
    if (this.#isIdentified) return;
    const version = await station.identify(call.signal);
    const uid = version?.uid;
    if (uid === undefined && journal.uid !== undefined) {
      // Files are told apart by it: without it they would all be found once more.
      throw new DriverError("unavailable", "Autopilot does not say who it is, as it did before", {
        hint: "Wait for a better link, or restart the autopilot",
      });
    }
    if (uid !== undefined) {
      journal.setUid(uid);
      device.state({ deviceId: `autopilot-${uid}` });
    }
    this.#isIdentified = true;
    const { vehicle } = station;
    device.log(
      "info",
      `${familyOf(vehicle?.autopilot)} with system id ${vehicle?.systemId}, UID ${uid ?? "not told"}, on ${this.name}`,
    );
  }

  /** The device's root on the autopilot. @throws {DriverError} `unavailable` when none is there */
  async root(signal: AbortSignal): Promise<string> {
    if (this.#root !== undefined) return this.#root;
    const { root } = this.#context.config;
    const candidates = root === undefined ? ROOTS : [root];
    for (const candidate of candidates) {
      try {
        await this.directories.list(encoder.encode(candidate), {
          signal,
          take: () => {},
          isEnough: () => true,
          tries: this.#isFtpOff ? FTP_OFF_TRIES : undefined,
        });
        this.#root = candidate;
        this.station.saysFtpDisabled = false;
        return candidate;
      } catch (error) {
        if (error instanceof DirectoryMissing) continue;
        throw this.#isFtpOff && this.station.gate.isOpen ? ftpOff(error) : error;
      }
    }
    throw new DriverError(
      "unavailable",
      `Autopilot has no directory ${candidates.map((name) => `"${name}"`).join(", ")}`,
      {
        hint: 'Check that its SD card is in, or set "root"',
      },
    );
  }

  /** What the autopilot says of itself; whether it answers all the same is tried. */
  get #isFtpOff(): boolean {
    const { version, saysFtpDisabled } = this.station;
    return saysFtpDisabled || (version !== undefined && !version.hasFtp);
  }

  /** Asks for the root once more, though it is known. */
  async lookAtRoot(signal: AbortSignal): Promise<string> {
    this.#root = undefined;
    return await this.root(signal);
  }

  /** The bytes by which the autopilot knows `path`, and why it cannot be asked for. */
  async remotePath(path: string, signal: AbortSignal): Promise<Uint8Array> {
    const root = await this.root(signal);
    const whole = path === "" ? root : root === "/" ? `/${path}` : `${root}/${path}`;
    const bytes = encoder.encode(whole);
    if (bytes.length > DATA_BYTES_MAX) {
      throw new DriverError("not_found", `Path is longer than the ${DATA_BYTES_MAX} bytes of MAVLink FTP: "${path}"`);
    }
    return bytes;
  }

  /** Whether a log may be written now although the vehicle is disarmed. */
  async mayBeLogging(signal: AbortSignal): Promise<boolean> {
    const { station } = this;
    switch (station.vehicle?.autopilot) {
      case AUTOPILOT.PX4:
        return await station.isLogging(signal);
      case AUTOPILOT.ARDUPILOT:
        // Its bit in SYS_STATUS says that logging is set up, not that it runs.
        this.#logsDisarmed ??= (await station.parameter("LOG_DISARMED", signal) ?? 0) !== 0;
        return this.#logsDisarmed;
      default:
        return false;
    }
  }

  async close(): Promise<void> {
    if (this.station.gate.isOpen) await this.session.close();
    this.station.stop(new DriverError("cancelled", "Device is closed"));
    await this.#link.close();
  }

  /** Tells the host what the gate means for it. */
  #tell(state: GateState): void {
    const { device } = this.#context;
    const { station } = this;
    if (station.isStopped) return;
    switch (state) {
      case "armed":
        this.#wasHeld = true;
        return device.state({ available: true, held: true, reason: "Vehicle is armed" });
      case "settling":
        // A vehicle that was only just met is waited for by the call that met it.
        if (this.#wasHeld) device.state({ held: true, reason: station.reason.message });
        return;
      case "open":
        this.#wasHeld = false;
        return device.state({ available: true, held: false });
      case "silent":
        this.#wasHeld = false;
        this.#isIdentified = false;
        this.#root = undefined;
        return device.state({ available: false, held: false, reason: station.reason.message });
    }
  }
}

/** It may be switched on at any time, so the device is tried again. */
function ftpOff(cause: unknown): DriverError {
  return new DriverError("unavailable", "Autopilot says that its MAVLink FTP is switched off or not built in", {
    cause,
    hint: 'ArduPilot: clear "Disable MAVftp" in BRD_OPTIONS. PX4: FMUv2 has none; start MAVLink of the port with -x',
  });
}

/** The autopilot's family in words. */
export function familyOf(autopilot: number | undefined): string {
  return autopilot === AUTOPILOT.PX4 ? "PX4" : autopilot === AUTOPILOT.ARDUPILOT ? "ArduPilot" : "Autopilot";
}
