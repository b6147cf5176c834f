/** What systemd is told of a run: `systemctl status` shows it, and the watchdog wants to hear of it. */
import type { FilesyncEvent } from "../../lib/observe/mod.ts";
import type { Notifier } from "../../lib/service/mod.ts";
import { count, formatBytes } from "./format.ts";

export class ServiceWords {
  readonly #notifier: Notifier;
  readonly #away = new Set<string>();
  #delivered = 0;
  #bytes = 0;
  #stuck = 0;

  constructor(notifier: Notifier) {
    this.#notifier = notifier;
  }

  apply(event: FilesyncEvent): void {
    switch (event.event) {
      case "start":
        return this.#notifier.ready("Running, nothing delivered yet");
      case "delivered":
        this.#delivered++;
        this.#bytes += event.receipt.sizeBytes;
        break;
      case "parked":
      case "uncertain":
        this.#stuck++;
        break;
      case "device": {
        const key = `${event.device} (${event.role})`;
        if (event.available && event.held !== true) this.#away.delete(key);
        else this.#away.add(key);
        break;
      }
      default:
        return;
    }
    this.#notifier.status(this.#words());
  }

  stopping(): void {
    this.#notifier.stopping();
  }

  end(): void {
    this.#notifier.close();
  }

  #words(): string {
    const parts = [`${count(this.#delivered, "file")} delivered (${formatBytes(this.#bytes)})`];
    if (this.#stuck > 0) parts.push(`${this.#stuck} parked or uncertain`);
    if (this.#away.size > 0) parts.push(`waits for ${[...this.#away].join(", ")}`);
    return parts.join(", ");
  }
}
