/**
 * `filesync-plugin.json`: read and checked. A broken manifest is a `problem` that people are shown, never a crash, and
 * a plugin that somebody else could rewrite is refused: it would run as us.
 */
import * as z from "zod";
import type { Role } from "../driver/mod.ts";
import { DEFAULT_LIMITS, type PluginLimits } from "./limits.ts";
import type { Wrapper } from "./sandbox.ts";
import { PROTOCOL_VERSION } from "../protocol/messages.ts";

export const MANIFEST_NAME = "filesync-plugin.json";
/** `origin` of the plugins that come with the program. */
export const BUILT_IN_ORIGIN = "built-in";
/** Longest manifest, bytes: a folder on the search path may hold anything. */
const MANIFEST_BYTES_MAX = 1024 * 1024;

const permissionList = z.union([z.boolean(), z.array(z.string().min(1))]);

/** Deno permissions of a driver that Deno runs; entries may hold `{args.name}`, `{spoolDir}`, `{spoolRoot}`, `{stateDir}`. */
const permissionsSchema = z.object({
  net: permissionList.optional(),
  read: permissionList.optional(),
  write: permissionList.optional(),
  run: permissionList.optional(),
  ffi: permissionList.optional(),
  sys: permissionList.optional(),
  /** Names of environment variables that are handed on; for a driver of any language. */
  env: z.array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable")).optional(),
});

/** What a driver needs where that is not what all get; the configuration has the last word. */
const limitsSchema = z.object({
  memoryBytes: z.int().min(16 * 1024 * 1024).optional(),
  openFiles: z.int().min(32).max(1_048_576).optional(),
  nice: z.int().min(0).max(19).optional(),
});

const nameSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "must consist of a-z, 0-9 and -, at most 64");

/** What a manifest holds. Unknown fields are ignored. */
export const manifestSchema = z.object({
  name: nameSchema,
  version: z.string().min(1).max(64),
  protocol: z.literal(PROTOCOL_VERSION),
  description: z.string().max(2000).default(""),
  roles: z.array(z.enum(["source", "target"])).min(1),
  exclusive: z.boolean().optional(),
  command: z.array(z.string().min(1)).min(1).optional(),
  args: z.record(z.string(), z.unknown()).default({}),
  permissions: permissionsSchema.optional(),
  limits: limitsSchema.optional(),
});

/** What a driver that Deno runs may do; placeholders such as `{args.host}` are filled in per device. */
export type Permissions = z.infer<typeof permissionsSchema>;
/** A manifest, checked. */
export type Manifest = z.infer<typeof manifestSchema>;

/** A kind of driver that was found, usable or not. */
export interface Plugin {
  name: string;
  version: string;
  description: string;
  roles: Role[];
  /** One process serves both roles of a device. */
  exclusive: boolean;
  /** JSON Schema of the arguments. */
  args: Record<string, unknown>;
  /** `"built-in"`, or the folder that holds the manifest. */
  origin: string;
  permissions?: Permissions;
  /** Where they are not those of all: by the configuration, else by the manifest. */
  limits?: Partial<PluginLimits>;
  /** What the configuration puts around it. */
  wrapper?: Wrapper;
  /** argv, relative to the folder. Absent for built-in ones. */
  command?: string[];
  /** Why it cannot be used. */
  problem?: string;
  /** What to do about it. */
  hint?: string;
}

/** The limits of a plugin's processes. */
export function limitsOf({ limits }: Plugin): PluginLimits {
  return { ...DEFAULT_LIMITS, ...limits };
}

/** Why a manifest is refused, with the remedy. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
  readonly hint: string | undefined;
  /** The name that the manifest gives, when it can be told. */
  pluginName: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/**
 * Checks a manifest that was already parsed.
 * @throws {ManifestError} If it does not fit, or speaks another protocol
 */
export function checkManifest(value: unknown): Manifest {
  try {
    return parseManifest(value);
  } catch (error) {
    const name = nameSchema.safeParse((value as { name?: unknown } | null)?.name);
    if (error instanceof ManifestError && name.success) error.pluginName = name.data;
    throw error;
  }
}

function parseManifest(value: unknown): Manifest {
  const protocol = (value as { protocol?: unknown } | null)?.protocol;
  if (typeof protocol === "number" && protocol !== PROTOCOL_VERSION) {
    throw new ManifestError(
      `Plugin speaks protocol ${protocol}: expected ${PROTOCOL_VERSION}`,
      protocol > PROTOCOL_VERSION
        ? "Update filesync, or install the plugin's release for this version of filesync"
        : "Install a newer release of the plugin",
    );
  }
  const checked = manifestSchema.safeParse(value);
  if (checked.success) return checked.data;
  const issues = checked.error.issues.map((issue) => {
    const place = issue.path.length === 0 ? "" : `"${issue.path.join(".")}": `;
    return `${place}${issue.message.replace(/^Invalid input: /, "")}`;
  });
  throw new ManifestError(
    `Manifest is invalid: ${issues.slice(0, 5).join("; ")}`,
    `Correct ${MANIFEST_NAME}; its fields are described in plugins/README.md`,
  );
}

/**
 * Reads the manifest in `folder`, and refuses it when others could change the plugin.
 * @throws {ManifestError} If it cannot be used
 */
export function readManifest(folder: string): Manifest {
  const file = `${folder}/${MANIFEST_NAME}`;
  let text: string;
  try {
    refuseForeignHands(folder);
    const info = Deno.statSync(file);
    if (!info.isFile || info.size > MANIFEST_BYTES_MAX) {
      throw new ManifestError(`"${file}" is no file of at most ${MANIFEST_BYTES_MAX} bytes`);
    }
    refuseForeignHands(file);
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof ManifestError) throw error;
    throw new ManifestError(`Cannot read "${file}": ${error instanceof Error ? error.message : error}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ManifestError(`Cannot read "${file}": ${(error as Error).message}`, "Correct the JSON");
  }
  const manifest = checkManifest(value);
  try {
    if (manifest.command === undefined) {
      throw new ManifestError('Manifest is invalid: "command" is missing', "Add the argv that starts the plugin");
    }
    for (const part of resolveCommand(folder, manifest.command)) {
      if (part.isOwnFile) refuseForeignHands(part.value);
    }
  } catch (error) {
    if (error instanceof ManifestError) error.pluginName = manifest.name;
    throw error;
  }
  return manifest;
}

/** One element of an argv; `isOwnFile` when it is a file in the plugin's folder. */
export interface CommandPart {
  value: string;
  isOwnFile: boolean;
}

/**
 * The argv with what names a file of the plugin's folder made absolute, since the plugin runs in another directory.
 * The first element without a `/` that is no such file is looked for on PATH.
 */
export function resolveCommand(folder: string, command: readonly string[]): CommandPart[] {
  return command.map((part, index) => {
    if (part.startsWith("/")) return { value: part, isOwnFile: isFile(part) && index === 0 };
    if (part.startsWith("-") && index > 0) return { value: part, isOwnFile: false };
    const path = `${folder}/${part.replace(/^(\.\/+)+/, "")}`;
    if (isFile(path) || (index === 0 && part.includes("/"))) return { value: path, isOwnFile: isFile(path) };
    return { value: part, isOwnFile: false };
  });
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

const WRITABLE_BY_OTHERS = 0o022;

/** @throws {ManifestError} If anyone but us and root may write to `path` */
function refuseForeignHands(path: string): void {
  const { mode, uid } = Deno.statSync(path);
  if (mode !== null && (mode & WRITABLE_BY_OTHERS) !== 0) {
    throw new ManifestError(`Others can write to "${path}"`, `chmod go-w ${quote(path)}`);
  }
  const own = Deno.uid();
  if (uid !== null && own !== null && uid !== 0 && uid !== own) {
    throw new ManifestError(`"${path}" belongs to user ${uid}: expected ${own} or root`, `chown ${own} ${quote(path)}`);
  }
}

function quote(path: string): string {
  return /^[A-Za-z0-9_./~-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
