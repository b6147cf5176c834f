/**
 * The file system of the simulated autopilot: a tree in memory with the mistakes of a card: files grow, shrink, vanish
 * and come back as others. Paths are absolute; each character is one byte of the name.
 */
import { allBytes, type Content, cut, fileOnDisk, joined, MemoryContent } from "./content.ts";

export type ContentSource = Content | Uint8Array | string;

export interface FileNode {
  kind: "file";
  content: Content;
  /** Seconds since 1970, 0 where the card knows none. */
  modifiedS: number;
  /** What a listing says instead of the true size (virtual files). */
  listedBytes?: number;
}

export interface DirectoryNode {
  kind: "directory";
  entries: Map<string, Node>;
  /** readdir fails after this many entries. */
  brokenAfter?: number;
}

export type Node = FileNode | DirectoryNode;

/** Why a change was refused; the stacks make their own numbers of it. */
export type FileFault = "absent" | "exists" | "is directory" | "not directory" | "not empty" | "read only" | "no space";

/** NuttX and Linux number these alike. */
export const ERRNO: Record<FileFault, number> = {
  absent: 2,
  exists: 17,
  "not directory": 20,
  "is directory": 21,
  "no space": 28,
  "read only": 30,
  "not empty": 39,
};

/** A name in UTF-8 as one character a byte. */
export function utf8Name(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

export function toContent(source: ContentSource): Content {
  if (typeof source === "string") return new MemoryContent(new TextEncoder().encode(source));
  return source instanceof Uint8Array ? new MemoryContent(source) : source;
}

export class Files {
  readonly root: DirectoryNode = { kind: "directory", entries: new Map() };
  /** Bytes that may still be written. */
  freeBytes = Infinity;

  constructor(files: Record<string, ContentSource> = {}) {
    for (const [path, source] of Object.entries(files)) this.add(path, source);
  }

  /** Every file below a real directory, under `root`; the real files are only read. */
  static ofDirectory(dir: string, root = "/"): Files {
    const files = new Files();
    files.#scan(dir, root.replace(/\/$/, ""));
    return files;
  }

  #scan(dir: string, path: string): void {
    this.mkdirs(path);
    for (const { name, isDirectory, isFile } of [...Deno.readDirSync(dir)].sort((a, b) => a.name < b.name ? -1 : 1)) {
      const below = `${path}/${utf8Name(name)}`;
      if (isDirectory) this.#scan(`${dir}/${name}`, below);
      else if (isFile) {
        const { mtime } = Deno.statSync(`${dir}/${name}`);
        this.add(below, fileOnDisk(`${dir}/${name}`), { modifiedS: Math.floor((mtime?.getTime() ?? 0) / 1000) });
      }
    }
  }

  /** Puts a file there and makes its directories. What was there is gone; who has it open goes on with the old one. */
  add(path: string, source: ContentSource, more: { modifiedS?: number; listedBytes?: number } = {}): FileNode {
    const { directory, name } = this.#place(path);
    const node: FileNode = { kind: "file", content: toContent(source), modifiedS: 0, ...more };
    directory.entries.set(name, node);
    return node;
  }

  mkdirs(path: string): DirectoryNode {
    let node = this.root;
    for (const name of parts(path)) {
      let next = node.entries.get(name);
      if (next === undefined) node.entries.set(name, next = { kind: "directory", entries: new Map() });
      if (next.kind !== "directory") throw new Error(`"${path}" goes through a file`);
      node = next;
    }
    return node;
  }

  node(path: string): Node | undefined {
    let node: Node | undefined = this.root;
    for (const name of parts(path)) node = node?.kind === "directory" ? node.entries.get(name) : undefined;
    return node;
  }

  file(path: string): FileNode | undefined {
    const node = this.node(path);
    return node?.kind === "file" ? node : undefined;
  }

  /** What a test compares with. */
  bytes(path: string): Uint8Array<ArrayBuffer> {
    return allBytes(this.#must(path).content);
  }

  /** Appends, also to a file that is open. */
  grow(path: string, source: ContentSource): void {
    const node = this.#must(path);
    node.content = joined(node.content, toContent(source));
  }

  /** Cuts the file, also one that is open. */
  shrink(path: string, sizeBytes: number): void {
    const node = this.#must(path);
    node.content = cut(node.content, sizeBytes);
  }

  /** Other bytes in the same file: who has it open reads the new ones. */
  overwrite(path: string, source: ContentSource): void {
    this.#must(path).content = toContent(source);
  }

  /** Another file under the same name. */
  replace(path: string, source: ContentSource): void {
    this.#must(path);
    this.add(path, source);
  }

  delete(path: string): void {
    const fault = this.remove(path);
    if (fault !== undefined) throw new Error(`Cannot delete "${path}": ${fault}`);
  }

  /** Removes a file, or an empty directory when `what` says so. */
  remove(path: string, what: "file" | "directory" | "any" = "any"): FileFault | undefined {
    const node = this.node(path);
    if (node === undefined || parts(path).length === 0) return "absent";
    if (node.kind === "directory" && what === "file") return "is directory";
    if (node.kind === "file" && what === "directory") return "not directory";
    if (node.kind === "directory" && node.entries.size > 0) return "not empty";
    const { directory, name } = this.#place(path);
    directory.entries.delete(name);
    return undefined;
  }

  mkdir(path: string): FileFault | undefined {
    if (this.node(path) !== undefined) return "exists";
    if (this.#parent(path) === undefined) return "absent";
    this.mkdirs(path);
    return undefined;
  }

  rename(from: string, to: string): FileFault | undefined {
    const node = this.node(from);
    if (node === undefined || this.#parent(to) === undefined) return "absent";
    const { directory, name } = this.#place(from);
    directory.entries.delete(name);
    const place = this.#place(to);
    place.directory.entries.set(place.name, node);
    return undefined;
  }

  /** A file to write; `create` makes it, `empty` cuts it. */
  writable(path: string, { create, empty }: { create: boolean; empty: boolean }): FileNode | FileFault {
    const node = this.node(path);
    if (node?.kind === "directory") return "is directory";
    if (node === undefined && (!create || this.#parent(path) === undefined)) return "absent";
    if (node === undefined) return this.add(path, new Uint8Array(0));
    if (empty) node.content = new MemoryContent(new Uint8Array(0));
    return node;
  }

  write(node: FileNode, offset: number, bytes: Uint8Array): FileFault | undefined {
    if (offset > 64 * 1024 * 1024) return "no space";
    if (!(node.content instanceof MemoryContent)) node.content = new MemoryContent(allBytes(node.content));
    const more = Math.max(0, offset + bytes.length - node.content.sizeBytes);
    if (more > this.freeBytes) return "no space";
    this.freeBytes -= more;
    (node.content as MemoryContent).write(offset, bytes);
    return undefined;
  }

  /** Paths of all files in order of listing. */
  paths(): string[] {
    const found: string[] = [];
    const walk = (node: DirectoryNode, path: string) => {
      for (const [name, below] of node.entries) {
        if (below.kind === "file") found.push(`${path}/${name}`);
        else walk(below, `${path}/${name}`);
      }
    };
    walk(this.root, "");
    return found;
  }

  #must(path: string): FileNode {
    const node = this.file(path);
    if (node === undefined) throw new Error(`There is no file "${path}"`);
    return node;
  }

  #parent(path: string): DirectoryNode | undefined {
    const node = this.node(parts(path).slice(0, -1).join("/"));
    return node?.kind === "directory" ? node : undefined;
  }

  #place(path: string): { directory: DirectoryNode; name: string } {
    const names = parts(path);
    const name = names.pop();
    if (name === undefined) throw new Error(`"${path}" names no file`);
    return { directory: this.mkdirs(names.join("/")), name };
  }
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
