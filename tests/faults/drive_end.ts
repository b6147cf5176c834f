/**
 * A flash drive as an end: a real filesystem on a loop device. The verifier sees its folder through a mount of its own,
 * which the driver takes for no place of the drive, since it shows a part of it only.
 */
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { LoopDrive, tool } from "../support/loop_drive.ts";

/** The folder of the drive that the job uses. */
const FOLDER = "files";

/** How a drive is made. */
export interface DriveOptions {
  /** @default {64} */
  sizeMib?: number;
  /** So many, most of them empty, so that a listing takes its time: `folder 0`, … @default {0} */
  folders?: number;
}

export class DriveEnd {
  readonly dir: string;
  readonly drive: LoopDrive;
  /** Where the driver mounts it. */
  readonly point: string;
  readonly device: { driver: string; args: Record<string, unknown> };
  readonly #mode: "ro" | "rw";
  /** The device that it was last. */
  #before = "";

  private constructor(dir: string, drive: LoopDrive, role: "source" | "target") {
    this.dir = dir;
    this.drive = drive;
    // As the driver mounts it: the kernel has one filesystem for all mounts of a device.
    this.#mode = role === "source" ? "ro" : "rw";
    this.point = `${dir}.mount`;
    this.device = { driver: "disk", args: { uuid: drive.uuid, mount_point: this.point, subdir: FOLDER } };
  }

  /** Makes a drive of what lies in `dir`, plugs it in, and shows it there. */
  static async open(
    dir: string,
    role: "source" | "target",
    { sizeMib = 64, folders = 0 }: DriveOptions = {},
  ): Promise<DriveEnd> {
    const drive = await LoopDrive.make(dirname(dir), { sizeMib });
    const end = new DriveEnd(dir, drive, role);
    await Deno.mkdir(end.point);
    await drive.plugIn();
    await drive.mount(end.point);
    await Deno.mkdir(`${end.point}/${FOLDER}`);
    for (const name of readdirSync(dir)) {
      await tool("cp", "-a", `${dir}/${name}`, `${end.point}/${FOLDER}/${name}`);
      await Deno.remove(`${dir}/${name}`, { recursive: true });
    }
    for (let n = 0; n < folders; n++) await Deno.mkdir(`${end.point}/${FOLDER}/folder ${n}`, { recursive: true });
    await drive.unmount(end.point);
    await end.#show();
    return end;
  }

  /** Pulls it as a hand does, whoever uses it. */
  async pull(): Promise<void> {
    if (this.drive.device === undefined) return;
    this.#before = this.drive.device;
    // Whoever watches a target is to see that it is empty, and not that it is dead.
    if (this.#mode === "rw") await this.#hide();
    await this.drive.pull({ isInUse: true });
    await this.drive.detach();
  }

  /** Pulls it, and its mount stays where it is: nobody is there to take it away. */
  async vanish(): Promise<void> {
    this.#before = this.drive.device!;
    await this.#hide();
    await this.drive.vanish();
  }

  /** Plugs it in, never under the number that it had last. */
  async plugIn(options: { readOnly?: boolean } = {}): Promise<void> {
    if (this.#before === "" || options.readOnly === true) await this.drive.plugIn(options);
    else await this.drive.plugInElsewhere(this.#before);
    await this.#show();
  }

  /** What lies on the disk below while the drive is away: nothing may. */
  below(): string[] {
    return [this.dir, this.point].flatMap((place) => readdirSync(place).map((name) => `${place}/${name}`));
  }

  async close(): Promise<void> {
    await this.#hide().catch(() => {});
    await this.drive[Symbol.asyncDispose]();
  }

  async #show(): Promise<void> {
    const whole = await Deno.makeTempDir({ dir: dirname(this.dir) });
    for (let tries = 1;; tries++) {
      try {
        await tool("mount", "-o", this.#mode, this.drive.device!, whole);
        break;
      } catch (error) {
        // The kernel may still be at the end of the mount before.
        if (tries === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    await tool("mount", "--bind", `${whole}/${FOLDER}`, this.dir);
    // The driver may have met it, and uses it: the drive was mounted by somebody, for a moment.
    await tool("umount", "-l", whole);
    await Deno.remove(whole);
  }

  async #hide(): Promise<void> {
    await tool("umount", "-l", this.dir);
  }
}
