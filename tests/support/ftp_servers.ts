/**
 * Real FTP servers as processes on free ports of loopback, stopped by their process group. Servers that are not on PATH
 * are looked for under {@linkcode TOOLS_DIR}, where `.ci/run` unpacks Debian packages that conflict with each other.
 */
import { execFileSync } from "node:child_process";
import type { Certificates } from "./certificates.ts";
import type { DelayingLink } from "./delaying_link.ts";
import { hasCommand } from "./needs.ts";
import { onFreePort, type ServerCommand, startServer } from "./server_process.ts";

export type FtpServerKind = "pure-ftpd" | "vsftpd" | "proftpd" | "pyftpdlib";

export const FTP_SERVER_KINDS: readonly FtpServerKind[] = ["pure-ftpd", "vsftpd", "proftpd", "pyftpdlib"];

/** Where unpacked packages are: `usr/sbin/vsftpd`, `usr/lib/proftpd`, … */
export const TOOLS_DIR = Deno.env.get("FILESYNC_FTP_SERVERS") ??
  `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/filesync-ci/ftp-servers`;

export interface FtpServerOptions {
  /** Directory that is served; the login directory. */
  root: string;
  /** The same port again, to start a server anew. */
  port?: number;
  tls?: {
    mode: "explicit" | "implicit";
    certificates: Certificates;
    /** Data connections must resume the session (vsftpd; ProFTPD always asks for it). */
    requiresReuse?: boolean;
    /** Highest version of TLS that the server takes. */
    versionMax?: "TLSv1.2";
  };
  /** Connections that one host may have. */
  maxPerHost?: number;
  /** ProFTPD as it is by default: no REST before STOR, no APPE. */
  noStoreRestart?: boolean;
  /** ProFTPD with mod_digest, which hashes. */
  hashes?: boolean;
  /** Commands that pyftpdlib shall not know. */
  without?: string[];
  /** Bytes a second that a transfer may have (vsftpd, pure-ftpd). */
  bytesPerSecond?: number;
  /** Reached over this link; absent: at once. */
  link?: DelayingLink;
}

export interface FtpServer {
  kind: FtpServerKind;
  host: string;
  port: number;
  user: string;
  passwd: string;
  pid: number;
  /** Kills it and its connections at once, as a power cut does. */
  stop(): Promise<void>;
}

/** Whether a server of this kind can be started here. pure-ftpd changes its user and needs root. */
export function hasFtpServer(kind: FtpServerKind): boolean {
  if (kind === "pyftpdlib") {
    try {
      execFileSync("python3", ["-c", "import pyftpdlib, OpenSSL"], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  }
  if (kind === "pure-ftpd") return hasCommand(kind) && Deno.uid() === 0;
  return programOf(kind) !== undefined;
}

/** Starts a server and waits until it answers. */
export function startFtpServer(kind: FtpServerKind, options: FtpServerOptions): Promise<FtpServer> {
  return onFreePort(options.port, (port) => startOn(port, kind, options));
}

async function startOn(port: number, kind: FtpServerKind, options: FtpServerOptions): Promise<FtpServer> {
  const dir = await Deno.makeTempDir({ prefix: `filesync-${kind}-` });
  const host = options.link?.near ?? "127.0.0.1";
  const account = kind === "vsftpd" ? { user: "anonymous", passwd: "secret" } : { user: "pi", passwd: "secret" };
  const setup: Setup = { dir, host, port, ...account, options };
  const { pid, stop } = await startServer(kind, { dir, host, port, ...START[kind](setup) });
  return { kind, host: options.link?.far ?? host, port, ...account, pid, stop };
}

interface Setup {
  dir: string;
  host: string;
  port: number;
  user: string;
  passwd: string;
  options: FtpServerOptions;
}

const START: Record<FtpServerKind, (setup: Setup) => ServerCommand> = {
  "pure-ftpd": startPureFtpd,
  vsftpd: startVsftpd,
  proftpd: startProftpd,
  pyftpdlib: startPyftpdlib,
};

function startPureFtpd({ dir, host, port, user, passwd, options }: Setup): ServerCommand {
  const passwords = `${dir}/users`;
  // The lowest user id that it takes is 1: files of the tests get that owner. A cheap hash: its own takes 2 s a login.
  const hash = execFileSync("openssl", ["passwd", "-1", passwd]).toString().trim();
  Deno.writeTextFileSync(passwords, `${user}:${hash}:1:1::${options.root}/./::::::::::::\n`, { mode: 0o600 });
  execFileSync("pure-pw", ["mkdb", `${dir}/users.pdb`, "-f", passwords]);
  execFileSync("chown", ["-R", "1:1", options.root]);
  const args = [
    "-S",
    `${host},${port}`,
    "-l",
    `puredb:${dir}/users.pdb`,
    "-E",
    "-A",
    "-H",
    "-D",
    "-u",
    "1",
    "-g",
    `${dir}/pid`,
  ];
  args.push("-L", "1000000:100", "-c", "50", "-C", String(options.maxPerHost ?? 40));
  // What it answers to PASV: the address of its own end would lead past the link.
  if (options.link !== undefined) args.push("-P", options.link.far);
  if (options.bytesPerSecond !== undefined) {
    const kilobytes = Math.ceil(options.bytesPerSecond / 1024);
    args.push("-T", `${kilobytes}:${kilobytes}`);
  }
  if (options.tls !== undefined) {
    args.push("-Y", options.tls.mode === "implicit" ? "3" : "2", "-2", options.tls.certificates.bothFile);
  }
  return { command: "pure-ftpd", args, env: tlsEnv(dir, options) };
}

function startVsftpd({ dir, host, port, passwd, options }: Setup): ServerCommand {
  // Anonymous with a list of passwords: a login that can fail, without PAM.
  Deno.writeTextFileSync(`${dir}/passwords`, `${passwd}\n`);
  Deno.mkdirSync(`${dir}/empty`);
  const tls = options.tls;
  const settings: Record<string, string | number> = {
    listen: "YES",
    listen_address: host,
    listen_port: port,
    background: "NO",
    run_as_launching_user: "YES",
    local_enable: "NO",
    anonymous_enable: "YES",
    secure_email_list_enable: "YES",
    email_password_file: `${dir}/passwords`,
    ftp_username: nameOf("-un"),
    anon_root: options.root,
    write_enable: "YES",
    anon_upload_enable: "YES",
    anon_mkdir_write_enable: "YES",
    anon_other_write_enable: "YES",
    anon_world_readable_only: "NO",
    anon_umask: "022",
    allow_writeable_chroot: "YES",
    mdtm_write: "YES",
    secure_chroot_dir: `${dir}/empty`,
    seccomp_sandbox: "NO",
    xferlog_enable: "NO",
    max_per_ip: options.maxPerHost ?? 0,
    anon_max_rate: options.bytesPerSecond ?? 0,
    ...(options.link === undefined ? {} : { pasv_address: options.link.far }),
  };
  if (tls !== undefined) {
    Object.assign(settings, {
      ssl_enable: "YES",
      implicit_ssl: tls.mode === "implicit" ? "YES" : "NO",
      allow_anon_ssl: "YES",
      force_anon_logins_ssl: "YES",
      force_anon_data_ssl: "YES",
      require_ssl_reuse: tls.requiresReuse === false ? "NO" : "YES",
      rsa_cert_file: tls.certificates.bothFile,
      ssl_ciphers: "HIGH",
    });
  }
  const file = `${dir}/vsftpd.conf`;
  Deno.writeTextFileSync(file, Object.entries(settings).map(([key, value]) => `${key}=${value}\n`).join(""));
  return { command: programOf("vsftpd")!, args: [file], env: tlsEnv(dir, options) };
}

function startProftpd({ dir, host, port, user, passwd, options }: Setup): ServerCommand {
  const hash = execFileSync("openssl", ["passwd", "-6", passwd]).toString().trim();
  Deno.writeTextFileSync(`${dir}/users`, `${user}:${hash}:${Deno.uid()}:${Deno.gid()}::${options.root}:/bin/sh\n`, {
    mode: 0o600,
  });
  const modules = [`${TOOLS_DIR}/usr/lib/proftpd`, "/usr/lib/proftpd"].find((path) =>
    hasCommand(`${path}/../../sbin/proftpd`)
  );
  const lines = [
    `ModulePath ${modules}`,
    ...(options.tls === undefined ? [] : ["LoadModule mod_tls.c"]),
    ...(options.hashes ? ["LoadModule mod_digest.c", "DigestEngine on"] : []),
    "ServerType standalone",
    `DefaultAddress ${host}`,
    `Port ${port}`,
    "UseIPv6 off",
    `User ${nameOf("-un")}`,
    `Group ${nameOf("-gn")}`,
    "RootLogin on",
    "RequireValidShell off",
    "AuthOrder mod_auth_file.c",
    `AuthUserFile ${dir}/users`,
    "AllowOverwrite on",
    `AllowStoreRestart ${options.noStoreRestart ? "off" : "on"}`,
    "UseReverseDNS off",
    "DelayEngine off",
    "WtmpLog off",
    `ScoreboardFile ${dir}/scoreboard`,
    `PidFile ${dir}/pid`,
    `SystemLog ${dir}/system.log`,
    "TransferLog none",
    `MaxClientsPerHost ${options.maxPerHost ?? 50}`,
    ...(options.link === undefined ? [] : [`MasqueradeAddress ${options.link.far}`]),
  ];
  if (options.tls !== undefined) {
    const { certificates, mode, versionMax } = options.tls;
    lines.push(
      "TLSEngine on",
      "TLSRequired on",
      `TLSProtocol ${versionMax ?? "TLSv1.2 TLSv1.3"}`,
      `TLSECCertificateFile ${certificates.certFile}`,
      `TLSECCertificateKeyFile ${certificates.keyFile}`,
      `TLSLog ${dir}/tls.log`,
      ...(mode === "implicit" ? ["TLSOptions UseImplicitSSL"] : []),
    );
  }
  const file = `${dir}/proftpd.conf`;
  Deno.writeTextFileSync(file, `${lines.join("\n")}\n`);
  return {
    command: programOf("proftpd")!,
    args: ["-n", "-c", file],
    env: { LD_LIBRARY_PATH: `${TOOLS_DIR}/usr/lib/${Deno.build.arch}-linux-gnu` },
  };
}

function startPyftpdlib({ host, port, user, passwd, options }: Setup): ServerCommand {
  const settings = {
    host,
    port,
    user,
    passwd,
    root: options.root,
    cert: options.tls?.certificates.bothFile,
    max_per_host: options.maxPerHost,
    without: options.without,
    masquerade: options.link?.far,
  };
  return { command: "python3", args: [new URL("pyftpd.py", import.meta.url).pathname, JSON.stringify(settings)] };
}

/** vsftpd and pure-ftpd have no setting for the version: OpenSSL's own configuration has. */
function tlsEnv(dir: string, options: FtpServerOptions): Record<string, string> {
  if (options.tls?.versionMax === undefined) return {};
  const file = `${dir}/openssl.cnf`;
  Deno.writeTextFileSync(
    file,
    `openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = ${options.tls.versionMax}\n`,
  );
  return { OPENSSL_CONF: file };
}

function programOf(name: string): string | undefined {
  return [`${TOOLS_DIR}/usr/sbin/${name}`, `/usr/sbin/${name}`].find(hasCommand);
}

function nameOf(flag: string): string {
  return execFileSync("id", [flag]).toString().trim();
}
