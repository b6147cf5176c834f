/** What the service of `serve ftp` is made for. */
import { randomBytes } from "node:crypto";
import { isAbsolute } from "node:path";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { CONFIG_ROOT, type ServiceFacts } from "../../lib/service/mod.ts";
import { CliError, type Context } from "../context.ts";
import { programFile, serviceFacts, type ServiceFlags, serviceName, serviceUser } from "./_service.ts";

/** The unit, its user and its folder below `/var/lib`. */
const FTP_SERVICE = "filesync-ftp";
const CREDENTIAL = "ftp-passwd";
/** The ports that a firewall has to let in, until a person writes others. */
const PORTS = { control: "2121", passive: "50000-50099" };

/** The facts of the service that is meant: that of `serve ftp` with `--ftp`, else that of `sync`. */
export function factsOf(context: Context, flags: ServiceFlags): ServiceFacts {
  const root = context.option(flags.ftp, "ftp");
  return root === undefined ? serviceFacts(context, flags) : ftpFacts(context, flags, root);
}

/** The unit that is meant: `--name`, with `--ftp` that of `serve ftp`, else that of `sync`. */
export function serviceNameOf(context: Context, flags: { name?: string; ftp?: boolean }): string {
  return serviceName(context, flags.name, context.switch(flags.ftp, "ftp") ? FTP_SERVICE : "filesync");
}

/** @throws {CliError} If the directory is not named by its whole path */
function ftpFacts(context: Context, flags: ServiceFlags, root: string): ServiceFacts {
  if (!isAbsolute(root)) throw new CliError(EXIT.usage, `Cannot serve "${root}": name the directory by its whole path`);
  if (flags.config !== undefined) {
    throw new CliError(EXIT.usage, "Cannot take both --ftp and --config: they are two services");
  }
  const name = serviceName(context, flags.name, FTP_SERVICE);
  return {
    name,
    description: "FileSync: serves a directory over FTP",
    program: programFile(context, flags.program),
    args: ["serve", "ftp", "--root", root, "--passwd-credential", CREDENTIAL],
    user: serviceUser(context, flags.user, FTP_SERVICE),
    stateDirectory: name,
    hopeless: [EXIT.usage, EXIT.config, EXIT.denied],
    writable: [root],
    readable: [],
    credentials: [CREDENTIAL],
    listens: true,
    kept: [
      { path: `${CONFIG_ROOT}/${name}.env`, text: ENVIRONMENT },
      {
        path: `${CONFIG_ROOT}/credentials/${CREDENTIAL}`,
        text: `${randomBytes(18).toString("base64url")}\n`,
        mode: 0o600,
      },
    ],
    serial: false,
    drives: false,
    mounts: false,
    mountPoints: [],
    known: [],
  };
}

const ENVIRONMENT = `# Options of "filesync serve ftp" for this service: --read-only is FILESYNC_READ_ONLY=1. Then:
# systemctl restart ${FTP_SERVICE}
FILESYNC_USER=filesync
FILESYNC_HOST=0.0.0.0
FILESYNC_PORT=${PORTS.control}
FILESYNC_PASSIVE_PORTS=${PORTS.passive}
# Nothing in the clear; a client that knows no TLS needs 0, and a network that is trusted.
FILESYNC_TLS=1
`;

/**
 * What a person has to know of the service: its password, and what a firewall has to let in.
 * @param environment text of the service's file of variables
 */
export function* ftpWords(facts: ServiceFacts, environment: string): Generator<string> {
  const of = (name: string, standard: string) => new RegExp(`^${name}=(.*)$`, "m").exec(environment)?.[1] ?? standard;
  const [control, passive] = [of("FILESYNC_PORT", PORTS.control), of("FILESYNC_PASSIVE_PORTS", "")];
  yield `User "${
    of("FILESYNC_USER", "")
  }", password in ${CONFIG_ROOT}/credentials/${CREDENTIAL}; options in ${CONFIG_ROOT}/${facts.name}.env`;
  yield `A firewall must let in TCP ${control}${
    passive === "" ? "" : ` and ${passive}`
  }: sudo ufw allow ${control}/tcp${passive === "" ? "" : ` && sudo ufw allow ${passive.replace("-", ":")}/tcp`}`;
}
