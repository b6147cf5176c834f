/** The servers that the program has beside its work. */
import { buildCommand, buildRouteMap } from "@stricli/core";
import type { Flags as FtpFlags } from "./commands/serve_ftp.ts";
import type { Context } from "./context.ts";
import { docs, flag, json, lazy, text, value } from "./route_parts.ts";

const ftp = buildCommand<FtpFlags, [], Context>({
  loader: lazy(() => import("./commands/serve_ftp.ts")),
  parameters: {
    flags: {
      root: value("Directory that is served; clients see it as /", "DIR"),
      user: value("Name that may log in and write", "NAME"),
      passwdFile: value("Read the password from FILE", "FILE"),
      passwdCredential: value("Read the password from the systemd credential NAME", "NAME"),
      passwd: value("The password itself: everyone on this machine can see it", "PASSWORD"),
      reader: {
        kind: "parsed",
        parse: text,
        optional: true,
        variadic: true,
        brief: "Somebody who may only read, with the password in FILE; may be given more than once",
        placeholder: "NAME=FILE",
      },
      host: value("Address to listen on; default 127.0.0.1, 0.0.0.0 or :: for the network", "ADDRESS"),
      port: value("Port to listen on; default 2121", "PORT"),
      passivePorts: value("Ports of data connections, to open in a firewall; default any", "FIRST-LAST"),
      tls: flag("Speak TLS alone (explicit FTPS), with a certificate that is made at the first start"),
      tlsCert: value("Certificate for --tls, and what signed it, in PEM; with --tls-key", "FILE"),
      tlsKey: value("Key of --tls-cert, in PEM", "FILE"),
      readOnly: flag("Let nobody change anything"),
      quota: value("Most bytes that all files together may have, such as 20GiB", "SIZE"),
      idleTimeout: value("Close a connection without a command after so long; default 5m", "TIME"),
      maxConnections: value("Most connections at once; default 64", "COUNT"),
      json,
      quiet: flag("Tell only of trouble"),
    },
    aliases: { q: "quiet" },
  },
  docs: docs(
    "Serve a directory over FTP",
    `Serves a directory to FTP clients until it is stopped: by Ctrl-C or SIGTERM, after which what was interrupted can be
resumed. Passive mode only. An upload is acknowledged when it is on disk, a rename replaces a file in one step, and
nothing outside of DIR can be reached. Without --host only this machine can connect.

The password comes from --passwd-file, --passwd-credential or $FILESYNC_PASSWD; there is no default. FTP sends it, and
all files, readable for everyone on the way: use it in a network that you trust, or take --tls, with which nothing is
served in the clear. Its certificate is made at the first start, as ftp-tls.pem with its key and ftp-tls.crt for
clients, in $STATE_DIRECTORY or $XDG_STATE_HOME/filesync. It has no end, and is trusted by its fingerprint, which is
told at each start ("pin" of the ftp driver), or by that copy ("ca", --cacert).

Transfers are told on stderr, with --json on stdout as one object a line: event is one of listening, connected, login,
login_failed, refused, upload, download, removed, made, renamed, unlisted, error, closed.

Exit codes: 1 the port is taken or another failure, 2 wrong usage, 3 a password or option cannot be used, 5 DIR or
ADDRESS is not there, 6 access denied, 130 or 143 stopped by a signal.`,
    [
      ["serve ftp --root /srv/logs --user pi --passwd-file pw", "for clients on this machine"],
      ["serve ftp --root /srv/logs --user pi --passwd-file pw --host 0.0.0.0", "for the network"],
      ["serve ftp --root /srv/logs --user pi --passwd-file pw --host 0.0.0.0 --tls", "for any network"],
    ],
  ),
});

/** `filesync serve`. */
export const serve = buildRouteMap({ routes: { ftp }, docs: { brief: "Servers for the other end" } });
