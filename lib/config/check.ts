/**
 * What only the whole file can tell: names that must exist and be unique, drivers that must be known. It looks at the
 * raw value, so that these flaws are told together with those that zod finds.
 */
import { checkDevice, type PluginSchemas } from "./args.ts";
import { didYouMean, type Flaw, listOf, type Path } from "./explain.ts";
import { nameProblem, TEMPLATE_HINT, templateProblem } from "./template.ts";
import { parseSize } from "./units.ts";

type Raw = Record<string, unknown>;

/** A target as it stands in a job. */
export interface TargetEntry {
  name: string | undefined;
  path: Path;
  value: unknown;
}

/** The targets of a job in the file's order, under the names that they have. */
export function targetsOf(job: Raw, path: Path): TargetEntry[] {
  const list: [unknown, Path][] = Array.isArray(job.targets)
    ? job.targets.map((value, index) => [value, [...path, "targets", index]])
    : [];
  if (job.target !== undefined) list.unshift([job.target, [...path, "target"]]);
  return list.map(([value, path]) => {
    const name = typeof value === "string" ? value : asObject(value)?.name ?? asObject(value)?.driver;
    return { name: typeof name === "string" ? name : undefined, path, value };
  });
}

/** Every flaw of `value` that zod cannot see. `notices` is added to. */
export function checkWhole(value: unknown, plugins: PluginSchemas | undefined, notices: Set<string>): Flaw[] {
  const root = asObject(value) ?? {};
  const devices = asObject(root.devices) ?? {};
  const uses = new Map<string, Set<"source" | "target">>();
  const names = new Map<string, Path>();
  const flaws: Flaw[] = [];
  const inline: { device: Raw; path: Path; role: "source" | "target" }[] = [];

  const takeName = (name: string, path: Path) => {
    if (names.has(name)) {
      flaws.push({ path, message: `Device name "${name}" is taken twice`, hint: "Rename one of them" });
    }
    names.set(name, path);
  };
  const use = (value: unknown, path: Path, role: "source" | "target", name: string | undefined) => {
    if (typeof value === "string") {
      if (value === "") return;
      if (Object.hasOwn(devices, value)) uses.set(value, (uses.get(value) ?? new Set()).add(role));
      else flaws.push(unknownDevice(value, path, devices, plugins));
      return;
    }
    const device = asObject(value);
    if (device === undefined) return;
    inline.push({ device, path, role });
    if (name !== undefined) takeName(name, path);
  };

  for (const name of Object.keys(devices)) {
    flaws.push(...badName("device", name, ["devices", name], "key"));
    takeName(name, ["devices", name]);
  }
  const jobNames = new Set<string>();
  for (const [index, job] of asList(root.jobs).entries()) {
    const path = ["jobs", index];
    flaws.push(...checkJob(job, path));
    let prefix: string | undefined;
    if (typeof job.name === "string") {
      if (!jobNames.has(job.name)) prefix = job.name;
      else {
        flaws.push({
          path: [...path, "name"],
          message: `Job name "${job.name}" is taken twice`,
          hint: "Rename one of them",
        });
      }
      jobNames.add(job.name);
    }
    if (job.enable === false) continue;
    use(job.source, [...path, "source"], "source", prefix && `${prefix}.source`);
    // With a name that cannot be, the flaw of the job says it; the device's name would say it again.
    const targets = targetsOf(job, path);
    const unique = new Set(targets.map(({ name }) => name)).size === targets.length;
    for (const { name, path, value } of targets) {
      use(value, path, "target", unique && name !== "source" && prefix && name ? `${prefix}.${name}` : undefined);
    }
  }
  if (plugins === undefined) return flaws;
  flaws.push(...unknownPlugins(asObject(root.plugins) ?? {}, plugins));
  for (const [name, device] of Object.entries(devices)) {
    const roles = [...uses.get(name) ?? []];
    flaws.push(...checkRaw(asObject(device), { path: ["devices", name], plugins, roles, notices }));
  }
  for (const { device, path, role } of inline) {
    flaws.push(...checkRaw(device, { path, plugins, roles: [role], notices }));
  }
  return flaws;
}

function checkRaw(device: Raw | undefined, options: Parameters<typeof checkDevice>[1]): Flaw[] {
  return device === undefined ? [] : checkDevice({ driver: device.driver, args: device.args }, options);
}

function checkJob(job: Raw, path: Path): Flaw[] {
  const flaws: Flaw[] = [];
  if (typeof job.name === "string") flaws.push(...badName("job", job.name, [...path, "name"]));
  if (job.target !== undefined && job.targets !== undefined) {
    const hint = 'Put all of them into "targets"';
    flaws.push({ path: [...path, "targets"], at: "key", message: 'Expected "target" or "targets", got both', hint });
  } else if (job.target === undefined && job.targets === undefined) {
    const hint = 'Add "target": the name of a device, or { "driver": …, "args": … }';
    flaws.push({ path, message: 'Missing key "target"', hint });
  }
  const seen = new Set<string>();
  for (const { name, path: at, value } of targetsOf(job, path)) {
    if (name === undefined) continue;
    const given = asObject(value)?.name !== undefined;
    const here = given ? [...at, "name"] : at;
    flaws.push(...badName("target", name, here));
    if (name === "source") {
      flaws.push({ path: here, message: 'Target cannot be named "source"', hint: "Choose another name" });
    }
    if (seen.has(name)) {
      const hint = 'Give each target a "name" of its own: it is part of the identity of its deliveries';
      flaws.push({ path: here, message: `Target name "${name}" is taken twice in this job`, hint });
    }
    seen.add(name);
  }
  if (typeof job.path === "string" && job.path !== "") {
    const problem = templateProblem(job.path);
    if (problem !== undefined) flaws.push({ path: [...path, "path"], message: problem, hint: TEMPLATE_HINT });
  }
  const rules = asObject(job.rules) ?? {};
  const [min, max] = [sizeOf(rules.min_size), sizeOf(rules.max_size)];
  if (min !== undefined && max !== undefined && min > max) {
    const message = `Expected a size of at least min_size (${rules.min_size}), got ${JSON.stringify(rules.max_size)}`;
    flaws.push({ path: [...path, "rules", "max_size"], message, hint: "No file has a size between them" });
  }
  return flaws;
}

function badName(what: string, name: string, path: Path, at: "key" | "value" = "value"): Flaw[] {
  const problem = name === "" && at === "value" ? undefined : nameProblem(name);
  if (problem === undefined) return [];
  const hint = "Names are part of what is stored and may be part of paths: use letters, digits, dots and dashes";
  return [{ path, at, message: `Name ${JSON.stringify(name)} cannot be used for a ${what}: ${problem}`, hint }];
}

/** A name that is spelt wrong would leave a driver without its sandbox. */
function unknownPlugins(settings: Raw, plugins: PluginSchemas): Flaw[] {
  return ["limits", "wrappers"].flatMap((key) =>
    Object.keys(asObject(settings[key]) ?? {}).filter((name) => !plugins.has(name)).map((name): Flaw => ({
      path: ["plugins", key, name],
      at: "key",
      message: `Unknown driver "${name}"${didYouMean(name, plugins.keys())}`,
      hint: "filesync plugins list shows the drivers that there are",
    }))
  );
}

function unknownDevice(name: string, path: Path, devices: Raw, plugins: PluginSchemas | undefined): Flaw {
  const known = Object.keys(devices);
  const hint = plugins?.has(name)
    ? `"${name}" is a driver: write { "driver": "${name}", "args": { … } }`
    : known.length === 0
    ? 'No device is named in this file: add "devices", or write { "driver": …, "args": … } here'
    : `Known devices: ${listOf(known, "and")}`;
  return { path, message: `Unknown device "${name}"${didYouMean(name, known)}`, hint };
}

function sizeOf(value: unknown): number | undefined {
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  try {
    return parseSize(value);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // zod tells it.
    throw error;
  }
}

function asObject(value: unknown): Raw | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Raw : undefined;
}

function asList(value: unknown): Raw[] {
  return Array.isArray(value) ? value.map((item) => asObject(item) ?? {}) : [];
}
