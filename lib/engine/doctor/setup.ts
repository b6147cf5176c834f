/** The configuration, its secrets, and the plugins on this machine. */
import { existsSync, statSync } from "node:fs";
import {
  type Config,
  ConfigError,
  type ConfigProblem,
  type DeviceConfig,
  resolveSecrets,
  type SecretReference,
} from "../../config/mod.ts";
import { secretReferences } from "../../config/references.ts";
import type { Plugin, PluginSet } from "../../host/mod.ts";
import { EXIT } from "../errors.ts";
import { type DoctorFinding, ok, problem, shellWord, warning } from "./finding.ts";

/** What reading the configuration came to. */
export function configFindings(config: Config | ConfigError): DoctorFinding[] {
  if (config instanceof ConfigError) {
    return config.problems.map((flaw) => problem("configuration", EXIT.config, words(flaw), flaw.hint));
  }
  const { file, jobs, devices, notices } = config;
  const findings = notices.map((notice) => {
    // Some notices end with their remedy.
    const [, what = notice, remedy] = /^(.*?): (chmod .*)$/.exec(notice) ?? [];
    return warning("configuration", what, remedy);
  });
  const unused = devices.filter((device) => !jobs.some((job) => usesDevice(job, device)));
  for (const { name } of unused) {
    findings.push(
      warning("configuration", `Device "${name}" is used by no job that runs`, undefined, { device: name }),
    );
  }
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;
  const detail = `"${file}" is valid: ${count(jobs.length, "job")}, ${count(devices.length, "device")}`;
  return [ok("configuration", detail), ...findings];
}

function usesDevice(job: Config["jobs"][number], device: DeviceConfig): boolean {
  return job.source.name === device.name || job.targets.some((target) => target.device.name === device.name);
}

function words({ file, line, column, key, message }: ConfigProblem): string {
  // Without a file it is the program that speaks.
  const place = [file === "filesync" ? "" : file, line, column].filter((part) => part !== undefined).join(":");
  return [place, key, message].filter((part) => part !== "").join(": ");
}

/** A device's arguments with their secrets, or why there are none. */
export interface Secrets {
  findings: DoctorFinding[];
  /** Absent: they could not be read. */
  args?: Record<string, unknown>;
}

/** Reads the secrets of a device; what is read is in no finding. */
export async function secretsOf(
  device: DeviceConfig,
  plugin: Plugin,
  options: { configFile: string; env: Readonly<Record<string, string | undefined>> },
): Promise<Secrets> {
  const about = { device: device.name };
  const references = secretReferences(device.args, plugin.args).map((path) =>
    path.reduce<unknown>((at, part) => (at as Record<string | number, unknown>)[part], device.args) as SecretReference
  );
  if (references.length === 0) return { findings: [], args: device.args };
  const credential = references.find((reference) => "credential" in reference);
  if (credential !== undefined && !options.env["CREDENTIALS_DIRECTORY"]) {
    const { credential: name } = credential as { credential: string };
    const detail = `Secret "${name}" is a systemd credential, which the service alone gets: the device is not asked`;
    const remedy = `sudo systemd-run --pipe --wait --property=LoadCredential=${name}:/path/of/the/file ` +
      `filesync doctor --config ${shellWord(options.configFile)}`;
    return { findings: [warning("secrets", detail, remedy, about)] };
  }
  const findings = references.flatMap((reference) => "file" in reference ? openFile(reference.file, device.name) : []);
  try {
    const args = await resolveSecrets(device.args, {
      file: options.configFile,
      place: device.place,
      schema: plugin.args,
      env: options.env,
    });
    const count = references.length === 1 ? "1 secret" : `${references.length} secrets`;
    return { findings: [...findings, ok("secrets", `${count} could be read`, about)], args };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      findings: [
        ...findings,
        ...error.problems.map((flaw) => problem("secrets", EXIT.config, words(flaw), flaw.hint, about)),
      ],
    };
  }
}

/** A file with a secret that everyone can read. */
function openFile(path: string, device: string): DoctorFinding[] {
  if (!existsSync(path) || (statSync(path).mode & 0o004) === 0) return [];
  const detail = `"${path}" holds a secret and everyone can read it`;
  return [warning("secrets", detail, `chmod 600 ${shellWord(path)}`, { device })];
}

/** Plugins that cannot be used. One that the configuration names is a problem of the configuration already. */
export function pluginFindings(plugins: PluginSet, pluginDirs: readonly string[]): DoctorFinding[] {
  const findings = pluginDirs.filter((dir) => !existsSync(dir)).map((dir) =>
    warning("plugins", `"${dir}" of "plugins.dirs" is not there`, `Make it, or take it out: mkdir -p ${shellWord(dir)}`)
  );
  for (const { name, origin, problem: why, hint } of plugins.all()) {
    if (why !== undefined) {
      findings.push(warning("plugins", `Plugin "${name}" in "${origin}" cannot be used: ${why}`, hint));
    }
  }
  return [ok("plugins", `Drivers that can be used: ${plugins.names().join(", ")}`), ...findings];
}
