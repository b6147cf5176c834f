/** Real WebDAV servers as processes: Apache's mod_dav, `rclone serve webdav`, nginx with dav-ext. */
import { createHash } from "node:crypto";
import type { Certificates } from "./certificates.ts";
import type { DelayingLink } from "./delaying_link.ts";
import { hasCommand } from "./needs.ts";
import { freePort, onFreePort, type ServerCommand, startServer } from "./server_process.ts";

export type WebdavServerKind = "apache" | "rclone" | "nginx";

export const WEBDAV_SERVER_KINDS: readonly WebdavServerKind[] = ["apache", "rclone", "nginx"];

export interface WebdavServerOptions {
  /** Directory that is served. */
  root: string;
  /** The same port again, to start a server anew. */
  port?: number;
  tls?: Certificates;
  /** Directories are shown as pages too (Apache and nginx). @default {false} */
  index?: boolean;
  /** Reached over this link; absent: at once. */
  link?: DelayingLink;
}

export interface WebdavServer {
  /** With a slash at the end. */
  url: string;
  port: number;
  user: string;
  passwd: string;
  pid: number;
  /** To be called when files were changed behind its back: rclone remembers folders. */
  forget(): Promise<void>;
  /** Kills it and its connections at once, as a power cut does. */
  stop(): Promise<void>;
}

/** Whether a server of this kind can be started here. Apache and nginx serve as a user of their own and need root. */
export function hasWebdavServer(kind: WebdavServerKind): boolean {
  if (kind === "rclone") return hasCommand("rclone");
  return Deno.uid() === 0 && hasCommand(kind === "apache" ? "apache2" : "nginx") && hasModule(MODULE[kind]);
}

const MODULE = {
  apache: "/usr/lib/apache2/modules/mod_dav.so",
  nginx: "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so",
};

function hasModule(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

const USER = "pi";
const PASSWD = "secret";

/** Starts a server and waits until it answers. */
export function startWebdavServer(kind: WebdavServerKind, options: WebdavServerOptions): Promise<WebdavServer> {
  return onFreePort(options.port, (port) => startOn(port, kind, options));
}

async function startOn(port: number, kind: WebdavServerKind, options: WebdavServerOptions): Promise<WebdavServer> {
  const dir = await Deno.makeTempDir({ prefix: `filesync-${kind}-` });
  await Deno.chmod(dir, 0o755);
  const host = options.link?.near ?? "127.0.0.1";
  const controlPort = freePort();
  const start = kind === "apache"
    ? startApache(dir, host, port, options)
    : kind === "nginx"
    ? startNginx(dir, host, port, options)
    : startRclone(dir, host, port, controlPort, options);
  const { pid, stop } = await startServer(kind, {
    dir,
    host,
    port,
    ...start,
    ...(kind === "rclone" ? { controlPort } : {}),
  });
  const scheme = options.tls === undefined ? "http" : "https";
  const forget = async () => {
    if (kind !== "rclone") return;
    const reply = await fetch(`http://${host}:${controlPort}/vfs/forget`, { method: "POST" });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`Cannot make rclone forget its folders: ${text}`);
  };
  return {
    url: `${scheme}://${options.link?.far ?? host}:${port}/dav/`,
    port,
    user: USER,
    passwd: PASSWD,
    pid,
    forget,
    stop,
  };
}

function startApache(
  dir: string,
  host: string,
  port: number,
  { root, tls, index }: WebdavServerOptions,
): ServerCommand {
  const modules = [
    "mpm_event",
    "alias",
    "authn_core",
    "authz_core",
    "authn_file",
    "authz_user",
    "auth_basic",
    "dav",
    "dav_fs",
  ];
  if (tls !== undefined) modules.push("ssl", "socache_shmcb");
  if (index === true) modules.push("autoindex", "dir");
  Deno.writeTextFileSync(`${dir}/passwords`, `${USER}:{SHA}${sha1(PASSWD)}\n`);
  Deno.mkdirSync(`${dir}/locks`);
  Deno.chmodSync(`${dir}/locks`, 0o777);
  Deno.writeTextFileSync(
    `${dir}/httpd.conf`,
    `${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
ServerRoot "${dir}"
DefaultRuntimeDir "${dir}"
PidFile "${dir}/httpd.pid"
Listen ${host}:${port}
ServerName localhost
User www-data
Group www-data
StartServers 1
ErrorLog "${dir}/error.log"
LogLevel warn
DavLockDB "${dir}/locks/db"
AllowEncodedSlashes NoDecode
${
      tls === undefined ? "" : `SSLEngine on
SSLCertificateFile "${tls.certFile}"
SSLCertificateKeyFile "${tls.keyFile}"
`
    }Alias /dav "${root}"
<Directory "${root}">
  Dav On
  AuthType Basic
  AuthName test
  AuthUserFile "${dir}/passwords"
  Require valid-user
  Options ${index === true ? "+Indexes" : "-Indexes"}
  ${index === true ? "IndexOptions FancyIndexing" : ""}
  AllowOverride None
</Directory>
`,
  );
  return { command: "/usr/sbin/apache2", args: ["-f", `${dir}/httpd.conf`, "-D", "FOREGROUND"] };
}

function startRclone(
  dir: string,
  host: string,
  port: number,
  controlPort: number,
  { root, tls }: WebdavServerOptions,
): ServerCommand {
  const args = [
    "serve",
    "webdav",
    root,
    "--addr",
    `${host}:${port}`,
    "--baseurl",
    "/dav",
    "--user",
    USER,
    "--pass",
    PASSWD,
  ];
  // With no memory at all each file of a folder has the folder read again: it is told what to forget.
  args.push("--rc", "--rc-addr", `${host}:${controlPort}`, "--rc-no-auth");
  args.push("--config", `${dir}/none.conf`, "--vfs-cache-mode", "off");
  if (tls !== undefined) args.push("--cert", tls.certFile, "--key", tls.keyFile);
  return { command: "rclone", args };
}

function startNginx(dir: string, host: string, port: number, { root, tls, index }: WebdavServerOptions): ServerCommand {
  Deno.writeTextFileSync(`${dir}/passwords`, `${USER}:{SHA}${sha1(PASSWD)}\n`);
  Deno.mkdirSync(`${dir}/body`);
  Deno.writeTextFileSync(
    `${dir}/nginx.conf`,
    `load_module ${MODULE.nginx};
user www-data;
daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log warn;
events { worker_connections 64; }
http {
  access_log off;
  client_max_body_size 0;
  client_body_temp_path ${dir}/body;
  server {
    listen ${host}:${port}${tls === undefined ? "" : " ssl"};
    ${tls === undefined ? "" : `ssl_certificate ${tls.certFile}; ssl_certificate_key ${tls.keyFile};`}
    auth_basic test;
    auth_basic_user_file ${dir}/passwords;
    location /dav/ {
      alias ${root}/;
      ${index === true ? "autoindex on;" : ""}
      dav_methods PUT DELETE MKCOL COPY MOVE;
      dav_ext_methods PROPFIND OPTIONS;
      dav_access user:rw group:rw all:rw;
    }
  }
}
`,
  );
  return { command: "/usr/sbin/nginx", args: ["-c", `${dir}/nginx.conf`, "-p", dir] };
}

function sha1(text: string): string {
  return new Uint8Array(createHash("sha1").update(text).digest()).toBase64();
}
