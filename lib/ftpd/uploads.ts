/** Which files are being written, so that two uploads never mix their bytes in one file. */
import type { DataChannel } from "./data_channel.ts";
import { Refusal } from "./refusal.ts";

/** The uploads under way, by real path. */
export class Uploads {
  readonly #running = new Map<string, { data: DataChannel; done: Promise<void> }>();
  readonly #abandonedMs: number;

  /** @param abandonedMs an upload without a byte for so long gives way */
  constructor(abandonedMs: number) {
    this.#abandonedMs = abandonedMs;
  }

  /**
   * Takes the file for one upload. A client whose link broke comes back before the server has noticed: its silent
   * first upload is then ended, and its bytes are on disk before this resolves.
   * @returns a function that gives the file back
   * @throws {Refusal} 450 while another upload of the file is moving
   */
  async claim(path: string, data: DataChannel): Promise<() => void> {
    for (let other = this.#running.get(path); other !== undefined; other = this.#running.get(path)) {
      if (performance.now() - other.data.movedAt < this.#abandonedMs) {
        throw new Refusal(450, "File is being uploaded over another connection");
      }
      other.data.abort("Gave way to a newer upload of the same file");
      await other.done;
    }
    const { promise: done, resolve } = Promise.withResolvers<void>();
    this.#running.set(path, { data, done });
    return () => {
      this.#running.delete(path);
      resolve();
    };
  }
}
