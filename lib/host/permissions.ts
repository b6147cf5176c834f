/** A manifest's `permissions` as Deno's flags, narrowed to this device's own arguments. */
import type { Permissions } from "./manifest.ts";

/** What the placeholders of a manifest stand for. */
export interface PlaceholderValues {
  args: Record<string, unknown>;
  /** JSON Schema of the arguments, for defaults. */
  schema: Record<string, unknown>;
  spoolDir: string;
  spoolRoot: string;
  stateDir: string;
}

const CATEGORIES = ["net", "read", "write", "run", "ffi", "sys"] as const;

/** Flags such as `--allow-read=/data`. An entry whose placeholder has no value is left out. */
export function denoFlags(permissions: Permissions, values: PlaceholderValues): string[] {
  const flags: string[] = [];
  for (const category of CATEGORIES) {
    const wanted = permissions[category];
    if (wanted === true) flags.push(`--allow-${category}`);
    if (!Array.isArray(wanted)) continue;
    const entries = wanted.map((entry) => resolve(entry, values, category === "net"))
      .filter((entry) => entry !== undefined);
    if (entries.length > 0) flags.push(`--allow-${category}=${[...new Set(entries)].join(",")}`);
  }
  if (permissions.env !== undefined && permissions.env.length > 0) {
    flags.push(`--allow-env=${permissions.env.join(",")}`);
  }
  return flags;
}

function resolve(entry: string, values: PlaceholderValues, isNet: boolean): string | undefined {
  let missing = false;
  const fill = (text: string) =>
    text.replace(/\{([^{}]+)\}/g, (_, name: string) => {
      const value = valueOf(name, values);
      if (value === undefined) missing = true;
      return value ?? "";
    });
  if (!isNet) {
    const path = fill(entry);
    // Deno splits at commas; a doubled one is a comma.
    return missing || path === "" ? undefined : path.replaceAll(",", ",,");
  }
  const [, host = "", port] = /^(.*?)(?::(\{[^{}]+\}|\d+))?$/s.exec(entry) ?? [];
  const address = hostOf(fill(host));
  if (missing || address === undefined) return undefined;
  const number = port === undefined ? "" : fill(port);
  // Without a known port the host is allowed at every port.
  return missing || !/^\d+$/.test(number) || /:\d+$/.test(address) ? address : `${address}:${number}`;
}

function valueOf(name: string, values: PlaceholderValues): string | undefined {
  if (name === "spoolDir" || name === "spoolRoot" || name === "stateDir") return values[name];
  if (!name.startsWith("args.")) return undefined;
  const key = name.slice("args.".length);
  const properties = values.schema["properties"] as Record<string, { default?: unknown }> | undefined;
  const value = Object.hasOwn(values.args, key) ? values.args[key] : properties?.[key]?.default;
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** The host of a name, an address or a URL, as `--allow-net` wants it. */
function hostOf(text: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    // Only http and its kin parse a host out of any URL.
    const url = text.replace(/^[a-z][a-z0-9+.-]*:/i, "http:");
    if (/^http:\/\/\//.test(url) || !URL.canParse(url)) return undefined;
    const { host, hostname } = new URL(url);
    return host === "" ? undefined : /:\d+$/.test(host) ? host : hostname;
  }
  if (/^[0-9a-f:]*:[0-9a-f:.]*$/i.test(text) && text.split(":").length > 2) return `[${text}]`;
  return /^[A-Za-z0-9._\[\]:-]+$/.test(text) ? text : undefined;
}
