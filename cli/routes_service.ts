/** The commands that make a service of the program. */
import { buildCommand, buildRouteMap } from "@stricli/core";
import type { Flags as InstallFlags } from "./commands/service_install.ts";
import type { Flags as PrintFlags } from "./commands/service_print.ts";
import type { Flags as StatusFlags } from "./commands/service_status.ts";
import type { Flags as UninstallFlags } from "./commands/service_uninstall.ts";
import type { Context } from "./context.ts";
import { config, docs, flag, json, lazy, value } from "./route_parts.ts";

const name = value("Name of the unit [filesync]; several configurations are several services", "NAME");
const user = value("Run as USER [filesync or filesync-ftp, which is made]", "USER");
const ftp = value("Serve DIR over FTP, in the place of sync", "DIR");
const ofFtp = flag("The service of serve ftp: the unit filesync-ftp");
const program = value("Path of the program, if it is another file than this one", "PATH");
const root = value("Root of a system that does not run, such as an image that is being made", "DIR");

const print = buildCommand<PrintFlags, [], Context>({
  loader: lazy(() => import("./commands/service_print.ts")),
  parameters: { flags: { config, ftp, name, user, program }, aliases: { c: "config" } },
  docs: docs("Print the systemd unit", "Prints what install would write, for this configuration. Changes nothing.", [
    ["service print", "the unit, and what else the system has to know"],
    ["service print | systemd-analyze security --offline=true /dev/stdin", "how far it is locked in"],
  ]),
});

const install = buildCommand<InstallFlags, [], Context>({
  loader: lazy(() => import("./commands/service_install.ts")),
  parameters: { flags: { config, ftp, name, user, program, root }, aliases: { c: "config" } },
  docs: docs(
    "Have systemd run sync, now and at each boot",
    `Makes the service's user, writes a unit that may write only where this configuration does, and starts it. Said again
it changes what has changed and nothing else. Only root may.

A secret that the configuration calls {"credential": "NAME"} is read from /etc/filesync/credentials/NAME, which only
root has to read; variables for {"env": "NAME"} may stand in /etc/filesync/<unit>.env.

With --ftp the service is "serve ftp" for DIR, over TLS, as the user filesync-ftp. A password is made at the first time
and kept in /etc/filesync/credentials/ftp-passwd, options stand in /etc/filesync/filesync-ftp.env.`,
    [
      ["service install -c /etc/filesync/config.json", "as the user filesync"],
      ["service install --user pi -c /home/pi/sync.json", "as pi, for files that are pi's"],
      ["service install --ftp /srv/logs", "the server for the other end"],
      ["service install --root /mnt/image -c config.json", "into an image"],
    ],
  ),
});

const uninstall = buildCommand<UninstallFlags, [], Context>({
  loader: lazy(() => import("./commands/service_uninstall.ts")),
  parameters: { flags: { name, ftp: ofFtp, root } },
  docs: docs(
    "Stop the service and take it out",
    "Stops the service and removes what install wrote. The configuration, the state and the user stay. Only root may.",
    [["service uninstall", "the unit filesync"], ["service uninstall --name camera", "another one"]],
  ),
});

const status = buildCommand<StatusFlags, [], Context>({
  loader: lazy(() => import("./commands/service_status.ts")),
  parameters: { flags: { name, ftp: ofFtp, json } },
  docs: docs("Tell whether the service runs", "Asks systemd. Exit code 0 when it runs, 1 otherwise.", [
    ["service status", "for people"],
    ["service status --json", "for programs"],
  ]),
});

/** `filesync service`. */
export const service = buildRouteMap({
  routes: { install, uninstall, status, print },
  docs: { brief: "Have systemd run the program" },
});
