/**
 * What a program did to its disks: the system calls of a real run, recorded with strace and read back in the order in
 * which they ended. Only calls below the given roots are kept.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

/** One call that changed a disk, or made changes durable. Paths are absolute, handles are what `open` gave. */
export type DiskCall =
  & {
    /** How many recorded calls had ended when this one began: an fsync covers those and no others. */
    began: number;
  }
  & (
    | { call: "open"; handle: number; path: string; create: boolean; exclusive: boolean; truncate: boolean }
    | { call: "write"; handle: number; offset: number | "end"; bytes: Uint8Array; sizeBytes: number }
    | { call: "copy"; from: number; fromOffset: number; handle: number; offset: number; sizeBytes: number }
    | { call: "truncate"; handle: number; sizeBytes: number }
    /** One that failed proves nothing, and what it should have written may never be written by a later one. */
    | { call: "fsync"; handle: number; path: string; failed: boolean }
    | { call: "rename"; from: string; to: string }
    | { call: "link"; from: string; to: string }
    | { call: "unlink"; path: string }
    | { call: "mkdir"; path: string }
    /** A socket got a name. */
    | { call: "bind"; path: string }
    | { call: "rmdir"; path: string }
  );

/** Bytes of a write that strace notes: a page of SQLite and its frame are whole, of a block of a file the start. */
const NOTED_BYTES = 8192;

/** Longest result of a call with its error's words and a path, characters. */
const RESULT_CHARS = 5000;

const TRACED = [
  ..."open openat creat close dup dup2 dup3 fcntl lseek read readv pread64 write writev pwrite64 pwritev pwritev2"
    .split(" "),
  ..."copy_file_range sendfile splice ftruncate truncate fallocate fsync fdatasync sync_file_range sync syncfs".split(
    " ",
  ),
  ..."rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir".split(" "),
  ..."bind clone clone3 fork vfork execve".split(" "),
];

/**
 * argv that runs `command` and writes what it does to `logFile`.
 * @param options.beside a process that runs already and is recorded too; the recording ends when both have ended
 * @param options.inject faults in strace's words: "fsync:error=EIO:when=2" is the second of each thread
 */
export function straceCommand(
  logFile: string,
  command: readonly string[],
  { beside, inject = [] }: { beside?: number | undefined; inject?: readonly string[] } = {},
): string[] {
  return [
    "strace",
    // What is attached to has no filter of its own.
    ...(beside === undefined ? ["--seccomp-bpf"] : ["-p", String(beside)]),
    ..."-f -y -x -qq -e raw=read,readv,pread64,fcntl -e signal=none -s".split(" "),
    String(NOTED_BYTES),
    "-o",
    logFile,
    "-e",
    `trace=${TRACED.join(",")}`,
    ...inject.flatMap((fault) => ["-e", `inject=${fault}`]),
    "--",
    ...command,
  ];
}

/** An open file: what `dup` and threads share. */
interface Description {
  handle: number;
  path: string;
  offset: number;
  append: boolean;
}

type Files = Map<number, Description>;

/** Reads `logFile`; `roots` are the directories whose calls are kept. */
export async function readTrace(logFile: string, roots: readonly string[]): Promise<DiskCall[]> {
  const reader = new TraceReader(roots);
  const lines = createInterface({ input: createReadStream(logFile, { encoding: "latin1" }), crlfDelay: Infinity });
  for await (const line of lines) reader.take(line);
  return reader.calls;
}

class TraceReader {
  readonly calls: DiskCall[] = [];
  readonly #roots: readonly string[];
  readonly #unfinished = new Map<string, { text: string; began: number }>();
  /** Threads share the files of their process. */
  readonly #files = new Map<string, Files>();
  #handles = 0;

  constructor(roots: readonly string[]) {
    this.#roots = roots;
  }

  take(line: string): void {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    if (rest === "" || rest.startsWith("+++") || rest.startsWith("---")) return;
    if (rest.endsWith("<unfinished ...>")) {
      this.#unfinished.set(thread, { text: rest.slice(0, -"<unfinished ...>".length), began: this.calls.length });
      return;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/s.exec(rest);
    if (resumed === null) return this.#ended(thread, rest, this.calls.length);
    const started = this.#unfinished.get(thread);
    if (started === undefined) return;
    this.#unfinished.delete(thread);
    this.#ended(thread, started.text + resumed[1], started.began);
  }

  #ended(thread: string, text: string, began: number): void {
    const [, name = "", rest = ""] = /^(\w+)\((.*)$/s.exec(text) ?? [];
    // The last of its kind: what was written may look like one.
    const from = Math.max(0, rest.length - RESULT_CHARS);
    const result = [...rest.slice(from).matchAll(/\)\s+= (0x[0-9a-f]+|-?\d+|\?)/g)].at(-1);
    if (name === "" || result === undefined || result[1] === "?") return;
    const end = from + result.index;
    const value = Number(result[1]);
    if (name.startsWith("clone") || name.endsWith("fork")) return this.#spawned(thread, rest, value);
    // Most of what a program says goes to pipes, and most of what it opens lies elsewhere.
    if (value < 0 && name !== "fsync" && name !== "fdatasync") return;
    const files = this.#filesOf(thread);
    if (name === "execve") return;
    this.#kept({ name, args: rest.slice(0, end), value, files, began, text });
  }

  #filesOf(thread: string): Files {
    let files = this.#files.get(thread);
    if (files === undefined) this.#files.set(thread, files = new Map());
    return files;
  }

  #spawned(thread: string, args: string, child: number): void {
    if (child <= 0) return;
    const ours = this.#filesOf(thread);
    this.#files.set(
      String(child),
      args.includes("CLONE_FILES") || args.includes("CLONE_THREAD") ? ours : new Map(ours),
    );
  }

  #isOurs(path: string): boolean {
    return this.#roots.some((root) => path === root || path.startsWith(`${root}/`));
  }

  #kept({ name, args, value, files, began, text }: Ended): void {
    const fd = Number(/^(0x[0-9a-f]+|\d+)/.exec(args)?.[1] ?? -1);
    const open = files.get(fd);
    switch (name) {
      case "open":
      case "openat":
      case "creat":
        return this.#opened(args, value, text, files, began);
      case "close":
        files.delete(fd);
        return;
      case "dup":
      case "dup2":
      case "dup3":
        return this.#copied(open, value, files);
      case "fcntl":
        // F_DUPFD and F_DUPFD_CLOEXEC; the arguments are raw.
        if (/^0x[0-9a-f]+, 0x(0|406)\b/.test(args)) this.#copied(open, value, files);
        return;
      case "lseek":
        if (open !== undefined) open.offset = value;
        return;
      case "read":
      case "readv":
        if (open !== undefined) open.offset += value;
        return;
      case "pread64":
        return;
    }
    if (
      ["write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate", "fsync", "fdatasync"].includes(
        name,
      )
    ) {
      if (open !== undefined) this.#changed(name, splitArgs(args), value, open, began, text);
      return;
    }
    const parts = splitArgs(args);
    if (name === "bind") {
      const path = decodeText(/sun_path=("[^"]*")/.exec(args)?.[1] ?? '""');
      if (this.#isOurs(path)) this.calls.push({ began, call: "bind", path });
      return;
    }
    const paths = parts.filter((part) => part.startsWith('"')).map((part) => absolute(decodeText(part)));
    switch (name) {
      case "copy_file_range":
      case "sendfile":
        return this.#transferred(name, parts, value, files, began, text);
      case "rename":
      case "renameat":
      case "renameat2":
        if (paths.some((path) => this.#isOurs(path))) {
          this.calls.push({ began, call: "rename", from: paths[0]!, to: paths[1]! });
        }
        return;
      case "link":
      case "linkat":
        if (paths.some((path) => this.#isOurs(path))) {
          this.calls.push({ began, call: "link", from: paths[0]!, to: paths[1]! });
        }
        return;
      case "unlink":
      case "unlinkat":
      case "rmdir": {
        if (!this.#isOurs(paths[0]!)) return;
        const call = name === "rmdir" || args.includes("AT_REMOVEDIR") ? "rmdir" : "unlink";
        this.calls.push({ began, call, path: paths[0]! });
        return;
      }
      case "mkdir":
      case "mkdirat":
        if (this.#isOurs(paths[0]!)) this.calls.push({ began, call: "mkdir", path: paths[0]! });
        return;
      default:
        if (paths.some((path) => this.#isOurs(path)) || open !== undefined) throw cannotReplay(text);
    }
  }

  #opened(args: string, fd: number, text: string, files: Files, began: number): void {
    const parts = splitArgs(args);
    const name = parts.find((part) => part.startsWith('"'));
    if (name === undefined) throw cannotReplay(text);
    const path = decodeText(name);
    files.delete(fd);
    if (!path.startsWith("/")) {
      // Relative to a directory that is open: nothing of ours is opened so.
      if (this.#roots.some((root) => text.includes(`<${root}`))) return;
      return;
    }
    if (!this.#isOurs(absolute(path))) return;
    const flags = parts[parts.indexOf(name) + 1] ?? "";
    const handle = this.#handles++;
    files.set(fd, { handle, path: absolute(path), offset: 0, append: flags.includes("O_APPEND") });
    this.calls.push({
      began,
      call: "open",
      handle,
      path: absolute(path),
      create: flags.includes("O_CREAT"),
      exclusive: flags.includes("O_EXCL"),
      truncate: flags.includes("O_TRUNC"),
    });
  }

  #copied(open: Description | undefined, fd: number, files: Files): void {
    if (open === undefined) files.delete(fd);
    else files.set(fd, open);
  }

  #changed(name: string, parts: string[], value: number, open: Description, began: number, text: string): void {
    const { handle, path } = open;
    if (name === "fsync" || name === "fdatasync") {
      this.calls.push({ began, call: "fsync", handle, path, failed: value < 0 });
      return;
    }
    if (name === "ftruncate") {
      this.calls.push({ began, call: "truncate", handle, sizeBytes: Number(parts[1]) });
      return;
    }
    if (name === "fallocate") throw cannotReplay(text);
    const isAt = name.startsWith("pwrite");
    const bytes = name.endsWith("v") || name.endsWith("v2") ? decodeVector(parts[1]!) : decodeBytes(parts[1]!);
    const offset = open.append ? "end" : isAt ? Number(parts[3]) : open.offset;
    this.calls.push({ began, call: "write", handle, offset, bytes: bytes.subarray(0, value), sizeBytes: value });
    if (!isAt) open.offset += value;
  }

  #transferred(name: string, parts: string[], value: number, files: Files, began: number, text: string): void {
    const isSend = name === "sendfile";
    const from = files.get(parseInt(parts[isSend ? 1 : 0]!));
    const to = files.get(parseInt(parts[isSend ? 0 : 2]!));
    if (to === undefined) return;
    if (from === undefined) throw cannotReplay(text);
    const fromAt = parts[isSend ? 2 : 1]!;
    const toAt = isSend ? "NULL" : parts[3]!;
    const at = (part: string) => Number(/^\[(\d+)/.exec(part)?.[1]);
    const fromOffset = fromAt === "NULL" ? from.offset : at(fromAt);
    const offset = toAt === "NULL" ? to.offset : at(toAt);
    this.calls.push({
      began,
      call: "copy",
      from: from.handle,
      fromOffset,
      handle: to.handle,
      offset,
      sizeBytes: value,
    });
    if (fromAt === "NULL") from.offset += value;
    if (toAt === "NULL") to.offset += value;
  }
}

interface Ended {
  name: string;
  args: string;
  value: number;
  files: Files;
  began: number;
  text: string;
}

function cannotReplay(text: string): Error {
  return new Error(`This call is not understood, so its run cannot be replayed: ${text.slice(0, 300)}`);
}

function absolute(path: string): string {
  if (!path.startsWith("/")) throw cannotReplay(`relative path "${path}"`);
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

/** Arguments of a call, split where they are; strings and structures stay whole. */
function splitArgs(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let isQuoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (isQuoted) {
      if (char === "\\") at++;
      else if (char === '"') isQuoted = false;
    } else if (char === '"') isQuoted = true;
    else if (char === "[" || char === "{" || char === "(") depth++;
    else if (char === "]" || char === "}" || char === ")") depth--;
    else if (char === "," && depth === 0) {
      parts.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  parts.push(text.slice(start).trim());
  return parts;
}

function decodeText(quoted: string): string {
  return new TextDecoder().decode(decodeBytes(quoted));
}

/** strace's `"..."`, whole in hexadecimal or with C's escapes; one that was cut is followed by dots. */
function decodeBytes(quoted: string): Uint8Array {
  const end = quoted.lastIndexOf('"');
  const text = quoted.slice(1, end);
  if (text.startsWith("\\x") && text.length % 4 === 0 && !/[^\\x0-9a-f]/.test(text)) {
    return Uint8Array.fromHex(text.replaceAll("\\x", ""));
  }
  const bytes: number[] = [];
  const escapes: Record<string, number> = { n: 10, r: 13, t: 9, v: 11, f: 12, a: 7, b: 8, e: 27, "\\": 92, '"': 34 };
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== "\\") {
      bytes.push(text.charCodeAt(at));
      continue;
    }
    const next = text[++at]!;
    if (next === "x") {
      bytes.push(parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    } else if (/[0-7]/.test(next)) {
      const digits = /^[0-7]{1,3}/.exec(text.slice(at))![0];
      bytes.push(parseInt(digits, 8));
      at += digits.length - 1;
    } else bytes.push(escapes[next] ?? next.charCodeAt(0));
  }
  return Uint8Array.from(bytes);
}

function decodeVector(text: string): Uint8Array {
  const parts = [...text.matchAll(/iov_base=("(?:[^"\\]|\\.)*")(\.\.\.)?, iov_len=(\d+)/g)].map((match) => {
    const bytes = decodeBytes(match[1]!);
    if (bytes.length !== Number(match[3])) throw cannotReplay(`a vector that was cut: ${text.slice(0, 100)}`);
    return bytes;
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
