/**
 * A flash drive as persons handle it: pulled in the middle of a listing, a read, a write; two alike at once; damaged, full,
 * write-protected; gone while the program was dead. Each is a real filesystem on a loop device.
 */
import { statfsSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { DRIVES, LoopDrive, tool } from "../../support/loop_drive.ts";
import type { DriveEnd, DriveOptions } from "../drive_end.ts";
import { mixedFiles, Pipeline } from "../pipeline.ts";
import { killed, retry, status } from "../program.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";
import { filesBelow, isTemporary } from "../verifier.ts";

/** Slow enough that a pull meets a file in its middle. */
const LIMITS = { download: "8MiB/s", upload: "8MiB/s" };
/** Longest that a moment may be waited for, milliseconds. */
const MOMENT_MS = 60_000;
/** Longest that a pulled drive is away, milliseconds. */
const AWAY_MS = 1500;
/** How long a drive is ill, milliseconds: past the driver's next looks at it. */
const ILL_MS = { ci: 4_000, full: 20_000 };
/** What a full drive still has. */
const LEFT_BYTES = 20_000;
/** What a listing of folders has to look into, so that it takes its time. */
const FOLDERS_COUNT = 8000;

type Files = Record<string, number>;

function driveOf({ source, target }: Pipeline): DriveEnd {
  return (source.drive ?? target.drive)!;
}

async function open(
  protocol: string,
  { seed, signal }: RunOptions,
  files: Files,
  drive: DriveOptions = {},
): Promise<Pipeline> {
  const ends = { source: { drive }, target: { drive } };
  return await Pipeline.open({ protocol, seed, signal, files, ...ends, job: { limits: LIMITS, movers: 2 } });
}

function someFiles({ seed, scale }: RunOptions): Files {
  return mixedFiles(seededRandom(seed), scale === "ci" ? { small: 20, big: 2 } : { small: 40, big: 4 });
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function countOf(pipeline: Pipeline, event: string): number {
  return pipeline.events.filter((one) => one.event === event).length;
}

/** A moment in which a pull cuts something. */
interface Moment {
  drive?: DriveOptions;
  files(options: RunOptions): Files;
  /** What tells that it has come, counted from now. */
  met(pipeline: Pipeline): () => boolean;
  /** Whether a pull came in time. */
  isCut?(pipeline: Pipeline): boolean;
}

const MOMENTS: Record<"listing" | "read" | "write", Moment> = {
  listing: {
    drive: { folders: FOLDERS_COUNT },
    files: () => Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`folder ${40 * n}/a.jpg`, 1])),
    met(pipeline) {
      const before = countOf(pipeline, "found");
      return () => countOf(pipeline, "found") > before;
    },
    isCut: (pipeline) => countOf(pipeline, "found") < Object.keys(pipeline.sizes).length,
  },
  read: {
    files: someFiles,
    met({ spoolDir: spool }) {
      return () => filesBelow(spool).some((name) => name.endsWith(".part") && sizeOf(`${spool}/${name}`) > 0);
    },
  },
  write: {
    files: someFiles,
    met({ target: { dir } }) {
      return () => filesBelow(dir).some((name) => isTemporary(name) && sizeOf(`${dir}/${name}`) > 0);
    },
  },
};

/** Pulls at one moment of the work, again and again; each time the drive comes back under another number. */
function pulls(moment: Moment, counts: Record<RunOptions["scale"], number>): Scenario["run"] {
  return async (protocol, options) => {
    const sum = emptyOutcome();
    const random = seededRandom(options.seed);
    // Each set of files meets some: one that meets none would go on for ever.
    for (let before = -1; before < sum.runs && sum.runs < counts[options.scale];) {
      before = sum.runs;
      const seed = Math.floor(random() * 2 ** 31);
      addOutcome(sum, await pulledOften(protocol, moment, counts[options.scale] - sum.runs, { ...options, seed }));
      options.tell(`${sum.runs} pulls`);
    }
    return sum;
  };
}

async function pulledOften(
  protocol: string,
  moment: Moment,
  countMax: number,
  options: RunOptions,
): Promise<Outcome> {
  const random = seededRandom(options.seed);
  await using pipeline = await open(protocol, options, moment.files(options), { sizeMib: 96, ...moment.drive });
  const drive = driveOf(pipeline);
  pipeline.start();
  let runs = 0;
  let below = 0;
  const isOver = () => pipeline.delivered.size === Object.keys(pipeline.sizes).length;
  while (runs < countMax) {
    const isMet = moment.met(pipeline);
    await pipeline.until(() => isMet() || isOver(), MOMENT_MS);
    if (!isMet()) break;
    await drive.pull();
    await pipeline.until(() => false, 100 + random() * AWAY_MS);
    if (moment.isCut?.(pipeline) ?? true) runs++;
    below += drive.below().length;
    await drive.plugIn();
  }
  await pipeline.untilDelivered();
  const outcome = await pipeline.finish({ runs, resentLimitBytes: null });
  // What was written below an unmounted mount point is on no drive.
  outcome.lost += below;
  return outcome;
}

/** Another drive with the same UUID lies beside it: at the start nobody knows which is meant, later the mount tells. */
async function twins(protocol: string, options: RunOptions): Promise<Outcome> {
  await using pipeline = await open(protocol, options, someFiles(options));
  const { drive } = driveOf(pipeline);
  await using twin = await LoopDrive.make(pipeline.dir, { uuid: drive.uuid, sizeMib: 64 });
  await twin.fill({ "files/of another.jpg": "another's" });
  await twin.plugIn();
  pipeline.start();
  await pipeline.until(() => pipeline.delivered.size > 0, ILL_MS[options.scale]);
  const wasRefused = pipeline.delivered.size === 0 &&
    pipeline.events.some(({ event, reason }) => event === "device" && /is there 2 times/.test(reason ?? ""));
  await twin.detach();
  await pipeline.until(() => pipeline.delivered.size > 0, MOMENT_MS);
  await twin.plugIn();
  await pipeline.untilDelivered();
  const isUntouched = [...(await unplugged(twin)).keys()].join() === "files/of another.jpg";
  const outcome = await pipeline.finish({ runs: wasRefused ? 2 : 0, resentLimitBytes: null });
  if (!isUntouched) outcome.corrupt++;
  return outcome;
}

async function unplugged(drive: LoopDrive): Promise<Map<string, Uint8Array>> {
  await drive.detach();
  return await drive.files();
}

/** No room on the target drive for a while, or none that may be written. */
function ill(illness: "full" | "write-protected"): Scenario["run"] {
  return async (protocol, options) => {
    await using pipeline = await open(protocol, options, someFiles(options), { sizeMib: 96 });
    const end = driveOf(pipeline);
    const filler = `${end.dir}/filesync-0000000000000000.part`;
    if (illness === "full") fill(end.dir, filler);
    else {
      await end.pull();
      await end.plugIn({ readOnly: true });
    }
    pipeline.start();
    await pipeline.until(() => false, ILL_MS[options.scale]);
    const hasStruck = pipeline.delivered.size < Object.keys(pipeline.sizes).length &&
      pipeline.events.some(({ event, code }) => event === "device" && code === "no_space");
    if (illness === "full") await rm(filler);
    else {
      await end.pull();
      await end.plugIn();
    }
    await pipeline.untilDelivered();
    return await pipeline.finish({ runs: hasStruck ? 1 : 0, resentLimitBytes: null });
  };
}

/** Takes all the room that there is. */
function fill(dir: string, file: string): void {
  const { bavail, bsize } = statfsSync(dir);
  writeFileSync(file, new Uint8Array(Number(bavail) * Number(bsize) - LEFT_BYTES));
}

/** Files that the drive cannot read are parked with the kernel's words, and the others arrive; repaired, they follow. */
async function damaged(protocol: string, options: RunOptions): Promise<Outcome> {
  const files = someFiles(options);
  await using pipeline = await open(protocol, options, files);
  const end = driveOf(pipeline);
  const bad = Object.keys(files).filter((path) => files[path]! > 1_000_000);
  await end.pull();
  const { image } = end.drive;
  const inodes = await Promise.all(bad.map((path) => inodeOf(image, `/files/${path}`)));
  // Some cannot even be listed, the others are torn in their middle.
  for (const [n, path] of bad.entries()) {
    const block = n % 2 === 0 ? "block[5] 4000000000" : "block[0] 0";
    await tool("debugfs", "-w", "-R", `set_inode_field "/files/${path}" ${block}`, image);
  }
  await end.plugIn();
  pipeline.start();
  const isRest = () => pipeline.delivered.size >= Object.keys(files).length - bad.length;
  await pipeline.until(() => isRest() && countOf(pipeline, "parked") >= bad.length, MOMENT_MS * 2);
  const { parked } = await status(pipeline.config);
  const areTold = parked.length === bad.length && parked.every(({ reason }) => /the kernel says: EXT4-fs/.test(reason));
  await end.pull();
  for (const inode of inodes) writeAt(image, inode);
  await end.plugIn();
  await retry(pipeline.config);
  await pipeline.untilDelivered();
  const outcome = await pipeline.finish({ runs: bad.length, resentLimitBytes: null });
  if (!areTold) outcome.unhealthy++;
  return outcome;
}

interface Inode {
  atByte: number;
  bytes: Uint8Array;
}

/** The bytes of a file's inode, and where they are in the image. */
async function inodeOf(image: string, path: string): Promise<Inode> {
  const words = await tool("debugfs", "-R", `imap "${path}"`, image);
  const [, block, offset] = /located at block (\d+), offset 0x([0-9a-f]+)/.exec(words)!;
  const stats = await tool("debugfs", "-R", "stats -h", image);
  const [, blockBytes] = /Block size:\s+(\d+)/.exec(stats)!;
  const atByte = Number(block) * Number(blockBytes) + parseInt(offset!, 16);
  const bytes = new Uint8Array(Number(/Inode size:\s+(\d+)/.exec(stats)![1]));
  using file = Deno.openSync(image);
  file.seekSync(atByte, Deno.SeekMode.Start);
  file.readSync(bytes);
  return { atByte, bytes };
}

function writeAt(image: string, { atByte, bytes }: Inode): void {
  using file = Deno.openSync(image, { write: true });
  file.seekSync(atByte, Deno.SeekMode.Start);
  file.writeSync(bytes);
}

/** All is killed while the drive is mounted, and it is pulled: its mount stays, dead, until the next start. */
async function orphaned(protocol: string, options: RunOptions): Promise<Outcome> {
  await using pipeline = await open(protocol, options, someFiles(options), { sizeMib: 96 });
  const end = driveOf(pipeline);
  const moment = protocol.startsWith("disk") ? MOMENTS.read : MOMENTS.write;
  const count = options.scale === "ci" ? 2 : 12;
  let runs = 0;
  for (; runs < count; runs++) {
    const program = pipeline.start();
    const isMet = moment.met(pipeline);
    await pipeline.until(isMet, MOMENT_MS);
    if (!isMet()) break;
    const { children } = program;
    program.kill();
    children.forEach(killed);
    await program.exit;
    await end.vanish();
    if (!await hasMount(end.point)) throw new Error("Nothing was mounted when the program was killed");
    await end.plugIn();
    options.tell(`${runs + 1} kills; ${program.stderr.trim().split("\n").at(-1)}`);
  }
  if (pipeline.program.hasEnded) pipeline.start();
  await pipeline.untilDelivered();
  return await pipeline.finish({ runs, resentLimitBytes: null, brokenMax: Infinity });
}

async function hasMount(point: string): Promise<boolean> {
  return (await Deno.readTextFile("/proc/self/mountinfo")).includes(` ${point} `);
}

const BOTH = ["disk->local", "local->disk"];

function row(name: string, fault: string, protocols: readonly string[], run: Scenario["run"]): Scenario {
  return { name, fault, protocols, needs: [DRIVES, "debugfs"], run };
}

export const DRIVE_ROWS: readonly Scenario[] = [
  row(
    "drive-listing",
    "a drive pulled in the middle of a listing, and back under another number",
    ["disk->local"],
    pulls(MOMENTS.listing, { ci: 2, full: 30 }),
  ),
  row(
    "drive-read",
    "a drive pulled in the middle of a read, and back under another number",
    ["disk->local"],
    pulls(MOMENTS.read, { ci: 3, full: 60 }),
  ),
  row(
    "drive-write",
    "a drive pulled in the middle of a write, and back under another number",
    ["local->disk"],
    pulls(MOMENTS.write, { ci: 3, full: 60 }),
  ),
  row("drive-orphan", "all killed, and the drive pulled: its mount stays", BOTH, orphaned),
  row("drive-twins", "two drives with one UUID, at the start and later", BOTH, twins),
  row("drive-damaged", "files that the drive cannot read, repaired later", ["disk->local"], damaged),
  { ...row("drive-full", "a full target drive, and room again", ["local->disk"], ill("full")), patient: true },
  {
    ...row("drive-protected", "a write-protected target drive, and writable again", [
      "local->disk",
    ], ill("write-protected")),
    patient: true,
  },
];
