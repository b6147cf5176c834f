/** A systemd unit that runs the program, and what else the system has to know. Text only; nothing is asked or written. */

/** What a service is made for. */
export interface ServiceFacts {
  /** Of the unit, without `.service`. */
  name: string;
  description: string;
  /** The program, absolute. */
  program: string;
  /** Its arguments. */
  args: string[];
  /** Absolute; absent: it has none. */
  configFile?: string;
  /** Who it runs as. */
  user: string;
  /** Folder of its own below `/var/lib`, which systemd makes; absent: it needs none. */
  stateDirectory?: string;
  /** Exit codes after which it is not started again, since only a person can mend their reason. */
  hopeless: number[];
  /** Other directories that it writes to, absolute: state, spool, log, targets. */
  writable: string[];
  /** Directories that it reads, absolute. */
  readable: string[];
  /** Names of credentials that it is given. */
  credentials: string[];
  /** It listens on a port that a person chooses, also one below 1024. */
  listens: boolean;
  /** What is made where it is not there, and is a person's from then on. */
  kept: ServiceFile[];
  /** A device is on a serial line. */
  serial: boolean;
  /** A device is a drive. */
  drives: boolean;
  /** The service mounts and unmounts drives itself. */
  mounts: boolean;
  /** Directories below which drives are mounted that it writes to: what is mounted there when it starts stays writable. */
  mountPoints: string[];
  /** The serial lines, as they are named below `/dev`, and the drives. */
  known: KnownDevice[];
}

/** A device by which udev knows it: `KERNEL`, `SYMLINK`, or a property such as `ENV{ID_FS_UUID}`. */
export interface KnownDevice {
  subsystem: "tty" | "block";
  match: string;
  value: string;
}

/** Where a service keeps its state and spool when its configuration is below `/etc`. */
export const STATE_DIR = "/var/lib/filesync";
/** Where its configuration, its environment and its credentials are. */
export const CONFIG_ROOT = "/etc/filesync";

/** A file that a service consists of. */
export interface ServiceFile {
  path: string;
  text: string;
  /** @default {0o644} */
  mode?: number;
}

/** Every file that is the service's own, the unit first. */
export function serviceFiles(facts: ServiceFacts): ServiceFile[] {
  const files = [{ path: `/etc/systemd/system/${facts.name}.service`, text: unitText(facts) }];
  if (facts.mounts) {
    files.push({ path: `/etc/polkit-1/rules.d/60-${facts.name}.rules`, text: polkitText(facts.user) });
  }
  const rules = udevText(facts);
  if (rules !== undefined) files.push({ path: `/etc/udev/rules.d/70-${facts.name}.rules`, text: rules });
  return files;
}

/**
 * Lets the service's user read the drives that its configuration names, and no others, and keeps ModemManager from
 * talking to an autopilot. In the order of udev: after 60, which finds out names, and before 77, where modems are met.
 */
function udevText({ known, user }: ServiceFacts): string | undefined {
  // What a quote or a pattern could be made of is left out: such a device keeps the rights that it has.
  const lines = known.filter(({ value }) => /^[\w./:+ -]+$/.test(value)).map(({ subsystem, match, value }) =>
    `SUBSYSTEM=="${subsystem}", ${match}=="${value}", ` +
    (subsystem === "tty"
      ? 'GROUP="dialout", MODE="0660", ENV{ID_MM_DEVICE_IGNORE}="1"'
      : `GROUP="${user}", MODE="0640"`)
  );
  return lines.length === 0 ? undefined : `# Devices of FileSync's configuration.\n${lines.join("\n")}\n`;
}

function unitText(facts: ServiceFacts): string {
  const isHome = [...facts.writable, ...facts.readable, facts.configFile ?? "", facts.program]
    .some((path) => /^\/(home|root|run\/user)(\/|$)/.test(path));
  const lines = [
    "[Unit]",
    `Description=${escaped(facts.description)}`,
    "After=network.target",
    "# It is never given up: a device or a server may be away for weeks.",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "Type=notify",
    "NotifyAccess=main",
    `ExecStart=${words(facts.program, ...facts.args)}`,
    `User=${escaped(facts.user)}`,
    ...(facts.serial ? ["SupplementaryGroups=dialout"] : []),
    ...(facts.stateDirectory === undefined
      ? []
      : [`StateDirectory=${facts.stateDirectory}`, "StateDirectoryMode=0750"]),
    `CacheDirectory=${facts.name}`,
    `EnvironmentFile=-${CONFIG_ROOT}/${facts.name}.env`,
    ...facts.credentials.map((name) => `LoadCredential=${escaped(name)}:${CONFIG_ROOT}/credentials/${escaped(name)}`),
    "",
    "# Drivers are stopped by the program itself, which lets an autopilot's session be ended first.",
    "KillMode=mixed",
    "TimeoutStopSec=15",
    "SuccessExitStatus=143",
    "Restart=on-failure",
    "RestartSec=10",
    "# Wrong usage and a wrong configuration do not mend themselves.",
    `RestartPreventExitStatus=${facts.hopeless.join(" ")}`,
    "WatchdogSec=180",
    "",
    "NoNewPrivileges=yes",
    ...["CapabilityBoundingSet", "AmbientCapabilities"].map((name) =>
      `${name}=${facts.listens ? "CAP_NET_BIND_SERVICE" : ""}`
    ),
    "ProtectSystem=strict",
    `ProtectHome=${isHome ? "read-only" : "yes"}`,
    ...[...facts.writable, ...facts.mountPoints].map((path) => `ReadWritePaths=${quoted(`-${path}`)}`),
    "PrivateTmp=yes",
    // Hot-plugged lines and drives must appear; permissions of the device files still hold.
    ...(facts.serial || facts.drives ? [] : ["PrivateDevices=yes"]),
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    ...(facts.serial || facts.drives ? [] : ["ProtectClock=yes"]),
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "# Not MemoryDenyWriteExecute: V8 compiles into memory that it then runs.",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ];
  return lines.join("\n");
}

/** Lets the service's user mount drives through udisks2 where nobody is logged in. */
function polkitText(user: string): string {
  return `// FileSync mounts and unmounts drives as "${user}".
polkit.addRule(function (action, subject) {
  if (
    subject.user === ${JSON.stringify(user)} &&
    /^org\\.freedesktop\\.udisks2\\.filesystem-(mount|unmount-others)(-other-seat|-system)?$/.test(action.id)
  ) {
    return polkit.Result.YES;
  }
});
`;
}

/** A command line as systemd reads it: `%` and `$` stand for themselves. */
function words(...argv: string[]): string {
  return argv.map((word) => quoted(word).replaceAll("$", "$$$$")).join(" ");
}

function quoted(word: string): string {
  const plain = escaped(word);
  return /^[\w./:@%+,=-]+$/.test(plain) ? plain : `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function escaped(word: string): string {
  return word.replaceAll("%", "%%");
}
