/**
 * A disk whose power can be cut: takes the recorded calls of a program and tells what could be left on the disk after
 * each of them. The rules are those of POSIX and no more, in the spirit of ALICE and CrashMonkey:
 *
 * - bytes, and the length that they give a file, are durable when an fsync of that file ended that began after them;
 * - a name (made, moved or removed) is durable when an fsync of its directory ended that began after it;
 * - bytes that an fsync that failed should have made durable are clean in the machine's memory afterwards: reading shows
 *   them, and no later fsync writes them (names are in a journal, which is written anew or ends the filesystem);
 * - everything else may be there or not, in any order: a later write without an earlier one, the length without the
 *   bytes (zeros, as delayed allocation leaves them), a removed name without the one that was made before it.
 *
 * A cut is a number of calls that had ended; a {@linkcode Chance} decides what became of each change that was not durable.
 */
import type { DiskCall } from "./power_trace.ts";

/** A file or directory, whatever its names are. */
interface Node {
  id: number;
  kind: "file" | "directory" | "socket";
  /** What it held before the recording. */
  initial: Uint8Array;
  mtimeMs: number | undefined;
  changes: Change[];
  /** Of the directory: what it named before the recording. */
  entries: Map<string, Node>;
  /** As the running program sees it: the content and the names now. */
  now: Uint8Array;
  nowSize: number;
  names: Map<string, Node>;
}

/** One change of a node. Durable after `durableAt` calls; never when that is not set, or when an fsync failed that covered it. */
type Change =
  & { at: number; node: Node; durableAt?: number; isDropped?: boolean }
  & (
    | { kind: "write"; offset: number; bytes: Uint8Array }
    | { kind: "truncate"; sizeBytes: number }
    | { kind: "name"; name: string; target: Node }
    | { kind: "unname"; name: string }
    | { kind: "move"; from: string; to: string; target: Node }
  );

/** What became of a change that was not durable. `size`: a write's length without its bytes. */
export type Fate = "kept" | "lost" | "size";

/** Decides about the changes that were not durable when the power went. */
export interface Chance {
  name: string;
  bytes: (change: { at: number; sector: number }) => Fate;
  names: (change: { at: number; directory: number }) => "kept" | "lost";
}

/** What was on the disk before the recording. */
export interface InitialFile {
  path: string;
  bytes?: Uint8Array;
  mtimeMs?: number;
}

/** A file as a cut leaves it, or a directory. */
export interface LeftEntry {
  path: string;
  /** Of a file: the same for all its names. */
  file?: number;
  bytes?: Uint8Array;
  mtimeMs?: number;
}

/** A disk writes sectors whole, bytes. Larger writes may be torn between two. */
const SECTOR_BYTES = 4096;

/** A recorded run on its disks. */
export class PowerDisk {
  /** Numbers of calls after which something had changed: where a cut makes a difference. */
  readonly cuts: number[] = [0];
  readonly #root: Node;
  readonly #nodes: Node[] = [];
  readonly #changes: Change[] = [];
  readonly #handles = new Map<number, Node>();
  readonly #contents: Uint8Array[];
  readonly #safe: readonly string[];

  /**
   * @param initial directories and files, each after the directory that it is in
   * @param options.safe directories of another machine: its power is not cut
   */
  constructor(initial: readonly InitialFile[], calls: readonly DiskCall[], options: { safe?: string[] } = {}) {
    this.#root = this.#newNode("directory");
    this.#safe = options.safe ?? [];
    this.#contents = initial.flatMap(({ bytes }) => bytes === undefined ? [] : [bytes]);
    for (const { path, bytes, mtimeMs } of initial) {
      const node = this.#newNode(bytes === undefined ? "directory" : "file");
      if (bytes !== undefined) {
        node.initial = node.now = bytes;
        node.nowSize = bytes.length;
      }
      node.mtimeMs = mtimeMs;
      const parent = this.#parents(path);
      parent.entries.set(nameOf(path), node);
      parent.names.set(nameOf(path), node);
    }
    for (const [at, call] of calls.entries()) {
      const before = this.#changes.length;
      if (this.#apply(call, at) || this.#changes.length > before) this.cuts.push(at + 1);
    }
  }

  /** Files and directories after `cut` calls and a loss of power, directories before what is in them. */
  left(cut: number, chance: Chance): LeftEntry[] {
    const survives = (change: Change) => change.durableAt !== undefined && change.durableAt <= cut;
    const names = new Map<Node, Map<string, Node>>();
    const namesOf = (node: Node) => {
      let map = names.get(node);
      if (map === undefined) names.set(node, map = new Map(node.entries));
      return map;
    };
    for (const change of this.#changes) {
      if (change.at >= cut) break;
      if (change.kind === "write" || change.kind === "truncate") continue;
      if (!survives(change) && chance.names({ at: change.at, directory: change.node.id }) === "lost") continue;
      const map = namesOf(change.node);
      if (change.kind === "name") map.set(change.name, change.target);
      else if (change.kind === "unname") map.delete(change.name);
      else {
        map.delete(change.from);
        map.set(change.to, change.target);
      }
    }
    const left: LeftEntry[] = [];
    const contents = new Map<Node, Uint8Array>();
    const walk = (node: Node, path: string) => {
      for (const [name, child] of [...namesOf(node)].sort(([a], [b]) => a < b ? -1 : 1)) {
        const mtime = child.mtimeMs === undefined ? {} : { mtimeMs: child.mtimeMs };
        const below = `${path}/${name}`;
        if (child.kind === "directory") {
          left.push({ path: below });
          walk(child, below);
        } else if (child.kind === "file") {
          let bytes = contents.get(child);
          if (bytes === undefined) contents.set(child, bytes = contentOf(child, cut, survives, chance));
          left.push({ path: below, file: child.id, bytes, ...mtime });
        }
      }
    };
    walk(this.#root, "");
    return left;
  }

  /** Whether anything is at stake after `cut` calls: otherwise every chance leaves the same. */
  isAtStake(cut: number): boolean {
    return this.#changes.some((change) =>
      change.at < cut && !(change.durableAt !== undefined && change.durableAt <= cut)
    );
  }

  #newNode(kind: Node["kind"]): Node {
    const nothing = new Uint8Array();
    const node: Node = {
      id: this.#nodes.length,
      kind,
      initial: nothing,
      mtimeMs: undefined,
      changes: [],
      entries: new Map(),
      now: nothing,
      nowSize: 0,
      names: new Map(),
    };
    this.#nodes.push(node);
    return node;
  }

  /** The directory above an initial path; what is above the roots is made and never lost. */
  #parents(path: string): Node {
    let node = this.#root;
    for (const name of path.split("/").slice(1, -1)) {
      let next = node.names.get(name);
      if (next === undefined) {
        next = this.#newNode("directory");
        node.entries.set(name, next);
        node.names.set(name, next);
      }
      node = next;
    }
    return node;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split("/").slice(1)) node = node?.names.get(name);
    return node;
  }

  #directoryOf(path: string): Node {
    const found = this.#find(path.slice(0, path.lastIndexOf("/")));
    if (found === undefined) throw new Error(`Replay: "${path}" is in no directory that was recorded`);
    return found;
  }

  #must(path: string): Node {
    const found = this.#find(path);
    if (found === undefined) throw new Error(`Replay: "${path}" is not there`);
    return found;
  }

  #isSafe(path: string): boolean {
    return this.#safe.some((dir) => path.startsWith(`${dir}/`));
  }

  #change(change: Change, path: string): void {
    if (this.#isSafe(path)) change.durableAt = change.at;
    this.#changes.push(change);
    change.node.changes.push(change);
  }

  /** Returns whether something became durable. */
  #apply(call: DiskCall, at: number): boolean {
    switch (call.call) {
      case "open": {
        const found = this.#find(call.path);
        if (found === undefined) {
          if (!call.create) throw new Error(`Replay: "${call.path}" was opened and is not there`);
          this.#name(call.path, this.#newNode("file"), at);
        } else if (call.truncate && found.kind === "file" && found.nowSize > 0) this.#truncate(found, 0, at, call.path);
        this.#handles.set(call.handle, this.#must(call.path));
        this.#paths.set(call.handle, call.path);
        return false;
      }
      case "write": {
        const offset = call.offset === "end" ? this.#handles.get(call.handle)!.nowSize : call.offset;
        const bytes = call.bytes.length === call.sizeBytes ? call.bytes : this.#wholeOf(call, offset);
        this.#write(call.handle, offset, bytes, at);
        return false;
      }
      case "copy": {
        const source = this.#handles.get(call.from)!;
        const end = call.fromOffset + call.sizeBytes;
        this.#write(call.handle, call.offset, source.now.slice(call.fromOffset, end), at);
        return false;
      }
      case "truncate":
        this.#truncate(this.#handles.get(call.handle)!, call.sizeBytes, at, this.#paths.get(call.handle)!);
        return false;
      case "fsync": {
        let isNews = false;
        for (const change of this.#handles.get(call.handle)!.changes) {
          if (change.durableAt !== undefined || change.isDropped || change.at >= call.began) continue;
          if (call.failed) {
            change.isDropped = change.kind === "write" || change.kind === "truncate";
            continue;
          }
          change.durableAt = at + 1;
          isNews = true;
        }
        return isNews;
      }
      case "bind":
        this.#name(call.path, this.#newNode("socket"), at);
        return false;
      case "mkdir":
        this.#name(call.path, this.#newNode("directory"), at);
        return false;
      case "link":
        this.#name(call.to, this.#must(call.from), at);
        return false;
      case "unlink":
      case "rmdir":
        this.#unname(call.path, at);
        return false;
      case "rename": {
        const target = this.#must(call.from);
        const [from, to] = [this.#directoryOf(call.from), this.#directoryOf(call.to)];
        if (from !== to) {
          this.#name(call.to, target, at);
          this.#unname(call.from, at);
          return false;
        }
        from.names.delete(nameOf(call.from));
        from.names.set(nameOf(call.to), target);
        this.#change({ kind: "move", at, node: from, from: nameOf(call.from), to: nameOf(call.to), target }, call.to);
        return false;
      }
    }
  }

  readonly #paths = new Map<number, string>();

  #name(path: string, target: Node, at: number): void {
    const node = this.#directoryOf(path);
    node.names.set(nameOf(path), target);
    this.#change({ kind: "name", at, node, name: nameOf(path), target }, path);
  }

  #unname(path: string, at: number): void {
    const node = this.#directoryOf(path);
    if (!node.names.delete(nameOf(path))) throw new Error(`Replay: "${path}" was removed and is not there`);
    this.#change({ kind: "unname", at, node, name: nameOf(path) }, path);
  }

  #truncate(node: Node, sizeBytes: number, at: number, path: string): void {
    const change: Change = { kind: "truncate", at, node, sizeBytes };
    if (sizeBytes === node.nowSize) return;
    grow(node, sizeBytes);
    if (sizeBytes < node.nowSize) node.now.fill(0, sizeBytes);
    node.nowSize = sizeBytes;
    this.#change(change, path);
  }

  #write(handle: number, offset: number, bytes: Uint8Array, at: number): void {
    const node = this.#handles.get(handle)!;
    const end = offset + bytes.length;
    grow(node, end);
    node.now.set(bytes, offset);
    node.nowSize = Math.max(node.nowSize, end);
    this.#change({ kind: "write", at, node, offset, bytes }, this.#paths.get(handle)!);
  }

  /** The bytes of a write that was too long to be noted whole: those of the file that it is a copy of. */
  #wholeOf(call: Extract<DiskCall, { call: "write" }>, offset: number): Uint8Array {
    const { bytes, sizeBytes } = call;
    for (const content of this.#contents) {
      if (content.length < offset + sizeBytes) continue;
      const candidate = content.subarray(offset, offset + sizeBytes);
      if (bytes.every((byte, n) => candidate[n] === byte)) return candidate;
    }
    throw new Error(
      `Replay: a write of ${sizeBytes} bytes to "${this.#paths.get(call.handle)}" is of no known content`,
    );
  }
}

function contentOf(node: Node, cut: number, survives: (change: Change) => boolean, chance: Chance): Uint8Array {
  const changes = node.changes.filter((change) => change.at < cut);
  if (changes.length === 0) return node.initial;
  let size = node.initial.length;
  const most = changes.reduce((most, change) => {
    if (change.kind === "write") return Math.max(most, change.offset + change.bytes.length);
    return change.kind === "truncate" ? Math.max(most, change.sizeBytes) : most;
  }, size);
  const bytes = new Uint8Array(most);
  bytes.set(node.initial);
  const write = (offset: number, part: Uint8Array) => {
    bytes.set(part, offset);
    size = Math.max(size, offset + part.length);
  };
  for (const change of changes) {
    if (change.kind === "truncate") {
      if (!survives(change) && chance.bytes({ at: change.at, sector: 0 }) === "lost") continue;
      if (change.sizeBytes < size) bytes.fill(0, change.sizeBytes, size);
      size = change.sizeBytes;
    } else if (change.kind === "write") {
      if (survives(change)) {
        write(change.offset, change.bytes);
        continue;
      }
      for (let at = 0; at < change.bytes.length;) {
        // Sectors are the disk's, not the write's.
        const next = Math.min(change.bytes.length, at + SECTOR_BYTES - (change.offset + at) % SECTOR_BYTES);
        const sector = Math.floor((change.offset + at) / SECTOR_BYTES);
        const fate = chance.bytes({ at: change.at, sector });
        if (fate === "kept") write(change.offset + at, change.bytes.subarray(at, next));
        else if (fate === "size") size = Math.max(size, change.offset + next);
        at = next;
      }
    }
  }
  return bytes.subarray(0, size);
}

function grow(node: Node, sizeBytes: number): void {
  if (node.now.length >= sizeBytes && node.now !== node.initial) return;
  const larger = new Uint8Array(Math.max(sizeBytes, node.now === node.initial ? node.now.length : node.now.length * 2));
  larger.set(node.now);
  node.now = larger;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

const all = (name: string, bytes: Fate, names: "kept" | "lost"): Chance => ({
  name,
  bytes: () => bytes,
  names: () => names,
});

/** Everything that was not fsynced is gone. */
export const NOTHING_MORE = all("nothing that was not synced", "lost", "lost");
/** As after a kill: the machine went on and wrote everything. */
export const EVERYTHING = all("everything", "kept", "kept");

/** The corners: what a filesystem does when it orders names and bytes differently. */
export const CORNERS: readonly Chance[] = [
  NOTHING_MORE,
  all("names without bytes", "lost", "kept"),
  all("names and lengths, zeros for bytes", "size", "kept"),
  all("bytes without names", "kept", "lost"),
  EVERYTHING,
];

/** A mixture, the same for the same seed: each change and each sector has a fate of its own. */
export function mixture(seed: number): Chance {
  const draw = (...key: number[]) => {
    let hash = seed >>> 0;
    for (const part of key) {
      hash = Math.imul(hash ^ part, 0x9e3779b1) >>> 0;
      hash = (hash ^ (hash >>> 15)) >>> 0;
      hash = Math.imul(hash, 0x85ebca77) >>> 0;
      hash = (hash ^ (hash >>> 13)) >>> 0;
    }
    return hash / 4294967296;
  };
  // Half of the seeds tear writes, the others lose or keep each whole.
  const tears = draw(1) < 0.5;
  const keeps = draw(2);
  return {
    name: `mixture ${seed}`,
    bytes: ({ at, sector }) => {
      const luck = draw(3, at, tears ? sector : 0);
      return luck < keeps ? "kept" : luck < keeps + (1 - keeps) / 2 ? "size" : "lost";
    },
    names: ({ at, directory }) => draw(4, at, directory) < 0.5 ? "kept" : "lost",
  };
}
