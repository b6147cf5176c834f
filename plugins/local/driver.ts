/**
 * The `local` driver: a directory of this machine as source or target. Promises that a root that vanished is
 * `unavailable`; what it does with files is in `files.ts`.
 */
import {
  type Call,
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
  type RemoveParams,
  type Role,
  type UploadParams,
} from "../../lib/driver/mod.ts";
import { findings } from "./check.ts";
import { parseConfig } from "./config.ts";
import { FILE_CAPABILITIES, Files } from "./files.ts";
import manifest from "./filesync-plugin.json" with { type: "json" };
import { LocalRoot } from "./local_root.ts";

export class LocalDriver implements Driver {
  #files: Files | undefined;
  #role: Role = "source";

  initialize(params: InitializeParams): InitializeResult {
    const { dir } = parseConfig(params.args);
    this.#files = new Files(new LocalRoot(dir, params.role, params.stateDir));
    this.#role = params.role;
    return {
      name: manifest.name,
      version: manifest.version,
      capabilities: { ...FILE_CAPABILITIES, takesSpoolFile: true },
    };
  }

  async list(params: ListParams, call: Call): Promise<void> {
    await this.#device().list(params, call);
  }

  async stat(params: { path: string }): Promise<Entry> {
    return await this.#device().stat(params);
  }

  async download(params: DownloadParams, call: Call): Promise<DownloadResult> {
    return await this.#device().download(params, call);
  }

  async upload(params: UploadParams, call: Call): Promise<Receipt> {
    return await this.#device().upload(params, call);
  }

  async confirm(params: UploadParams, call: Call): Promise<Receipt | null> {
    return await this.#device().confirm(params, call);
  }

  async remove(params: RemoveParams): Promise<void> {
    await this.#device().remove(params);
  }

  async check(): Promise<Finding[]> {
    return await findings(this.#device().root, this.#role);
  }

  #device(): Files {
    if (this.#files === undefined) throw new DriverError("failed", "Driver is not initialized");
    return this.#files;
  }
}
