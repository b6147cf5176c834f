/**
 * The `disk` driver: a flash drive or a card, known by its filesystem. Promises that its mount point counts only while
 * the right filesystem is there, that nothing is written below an unmounted one, and that it goes on by itself when
 * the drive is back.
 */
import {
  type Call,
  type DeviceLink,
  type DownloadParams,
  type DownloadResult,
  type Driver,
  DriverError,
  type Entry,
  type Finding,
  type InitializeParams,
  type InitializeResult,
  type ListParams,
  type Receipt,
  type Release,
  type RemoveParams,
  type Role,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import { FILE_CAPABILITIES, Files } from "../local/files.ts";
import { findings } from "./check.ts";
import { type DiskConfig, parseConfig } from "./config.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };
import { Station } from "./station.ts";

interface Device {
  config: DiskConfig;
  station: Station;
  files: Files;
  role: Role;
}

export class DiskDriver implements Driver {
  #device: Device | undefined;

  initialize(params: InitializeParams, link: DeviceLink): InitializeResult {
    const config = parseConfig(params.args);
    if (this.#device === undefined) {
      const station = new Station(config, link);
      this.#device = { config, station, files: new Files(station.root), role: params.role };
    }
    this.#device.station.serve(params.role);
    const { uuid } = config.volume;
    return {
      name: manifest.name,
      version: manifest.version,
      ...(uuid === undefined ? {} : { deviceId: uuid }),
      // A time that FAT has rounded stays what it is: it is compared with itself.
      capabilities: { ...FILE_CAPABILITIES, release: true },
    };
  }

  async list(params: ListParams, call: Call): Promise<void> {
    await this.#use(({ files }) => files.list(params, call));
  }

  async stat(params: { path: string }): Promise<Entry> {
    return await this.#use(({ files }) => files.stat(params));
  }

  async download(params: DownloadParams, call: Call): Promise<DownloadResult> {
    return await this.#use(({ files }) => files.download(params, call));
  }

  async upload(params: UploadParams, call: Call): Promise<Receipt> {
    return await this.#use(({ files, station }) => {
      station.root.checkUpload(params.path, params.sizeBytes);
      return files.upload(params, call);
    });
  }

  async confirm(params: UploadParams, call: Call): Promise<Receipt | null> {
    return await this.#use(({ files }) => files.confirm(params, call));
  }

  async remove(params: RemoveParams): Promise<void> {
    await this.#use(({ files }) => files.remove(params), { writes: true });
  }

  async check(): Promise<Finding[]> {
    const { station, config, role } = this.#known();
    return await findings(station, config, role);
  }

  async release(): Promise<Release> {
    return { safe: await this.#known().station.release() };
  }

  async shutdown(): Promise<void> {
    await this.#device?.station.close();
  }

  #use<T>(work: (device: Device) => Promise<T>, options: { writes?: boolean } = {}): Promise<T> {
    const device = this.#known();
    return device.station.use(() => work(device), options);
  }

  #known(): Device {
    if (this.#device === undefined) throw new DriverError("failed", "Driver is not initialized");
    return this.#device;
  }
}
