/**
 * Who may mount a drive without being root: udisks and polkit, a line of fstab, or nobody but the system. The real ones, in
 * a guest, with the whole program run by a user without rights; drives appear as udev tells of them.
 */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { DENO_DIR, isInGuest } from "../support/guest.ts";
import { LoopDrive, mountPointsOf, tool } from "../support/loop_drive.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;
const USER = "pilot";
const HOME = `/home/${USER}`;
const FSTAB = Deno.readTextFileSync("/etc/fstab");
const RULE = "/etc/polkit-1/rules.d/10-filesync.rules";

/** As a system with udev, D-Bus, polkit and udisks starts. The packages are unpacked, so their users are made here. */
const SYSTEM = `
set -e
for name in messagebus polkitd; do id -u $name >/dev/null 2>&1 || useradd --system $name; done
useradd --create-home ${USER}
mkdir -p /run/udev /run/dbus /run/lock /var/lib/udisks2 /var/lib/dbus
chmod 755 /etc/polkit-1 /etc/polkit-1/rules.d /usr/share/polkit-1/rules.d
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle
dbus-daemon --system --fork
/usr/lib/polkit-1/polkitd --no-debug >/dev/null 2>&1 &
/usr/libexec/udisks2/udisksd >/dev/null 2>&1 &
for n in $(seq 100); do udisksctl status >/dev/null 2>&1 && exit 0; sleep 0.2; done
exit 1
`;

interface Told {
  code: number;
  text: string;
}

/** Runs the program as the user. */
async function filesync(...args: string[]): Promise<Told> {
  const denoDir = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  const words = [
    "env",
    `HOME=${HOME}`,
    `DENO_DIR=${denoDir}`,
    "NO_COLOR=1",
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
  ];
  const { code, stdout, stderr } = await new Deno.Command("setpriv", {
    args: [
      "--reuid",
      USER,
      "--regid",
      USER,
      "--init-groups",
      ...words,
      MAIN,
      ...args,
      "--config",
      `${HOME}/config.json`,
    ],
    cwd: HOME,
    stdin: "null",
  }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** A user may go where the program and its packages are. */
async function openWayTo(path: string): Promise<void> {
  for (let dir = path; dir !== "/"; dir = dirname(dir)) await tool("chmod", "a+rx", dir);
}

/** A drive with a picture, plugged in, and a job that fetches it. */
async function plugged(args: Record<string, unknown>): Promise<LoopDrive> {
  // As a program that never ran.
  await tool("sh", "-c", `cd ${HOME} && rm -rf out filesync.db*`);
  const drive = await LoopDrive.make("/var/tmp", { filesystem: "vfat", label: "FLIR DUO", sizeMib: 64 });
  await drive.fill({ "a.jpg": "picture" });
  await drive.plugIn();
  await tool("udevadm", "settle");
  const source = { driver: "disk", args: { uuid: drive.uuid, ...args } };
  const target = { driver: "local", args: { dir: `${HOME}/out` } };
  const jobs = [{ name: "flir", source, target, finder: { settle: "0s" } }];
  await Deno.writeTextFile(`${HOME}/config.json`, JSON.stringify({ jobs }));
  await tool("chown", "-R", USER, HOME);
  return drive;
}

function test(name: string, run: () => Promise<void>): void {
  // Daemons that the system started are not the test's.
  Deno.test({ name, fn: run, sanitizeResources: false, sanitizeOps: false });
}

if (isInGuest(import.meta.url, "disk: a user without rights mounts by udisks, by fstab, or is told what it takes")) {
  test("the system starts", async () => {
    await tool("sh", "-c", SYSTEM);
    for (const path of [Deno.execPath(), MAIN, DENO_DIR]) await openWayTo(await Deno.realPath(path));
  });

  test("without a polkit rule it is denied, and told what would allow it", async () => {
    await using _ = await plugged({});
    const { code, text } = await filesync("sync", "--once");
    assert.equal(code, 6, text);
    assert.match(text, /Not authorized to perform operation/);
    assert.match(text, /polkit \(org\.freedesktop\.udisks2\.filesystem-mount/);
  });

  test("with a polkit rule udisks mounts it, and it is let go", async () => {
    const rule = `polkit.addRule(function (action, subject) {
      if (subject.user == "${USER}" && action.id.indexOf("org.freedesktop.udisks2.filesystem-mount") == 0) {
        return polkit.Result.YES;
      }
    });`;
    await Deno.writeTextFile(RULE, rule);
    await using drive = await plugged({});
    const doctor = await filesync("doctor");
    assert.match(doctor.text, /flir\.source mounting: is done by udisks/);
    assert.match(doctor.text, new RegExp(`/media/${USER}/FLIR DUO" can be listed`));
    const { code, text } = await filesync("sync", "--once", "--json");
    assert.equal(code, 0, text);
    assert.match(text, /"event":"safe_to_unplug"/);
    assert.equal(await Deno.readTextFile(`${HOME}/out/a.jpg`), "picture");
    assert.deepEqual(await mountPointsOf(drive.device!), []);
  });

  test("with a line of fstab mount(8) mounts it where the line says, and it is let go", async () => {
    await tool("mv", "/usr/bin/udisksctl", "/usr/bin/udisksctl.away");
    await using drive = await plugged({ mount_point: "/mnt/flir" });
    await Deno.mkdir("/mnt/flir", { recursive: true });
    // Nothing allows it yet.
    const closed = await filesync("doctor");
    assert.match(closed.text, /Cannot mount "\/dev\/loop\d+": only root may/);
    assert.match(closed.text, new RegExp(`UUID=${drive.uuid} /mnt/flir auto noauto,user,ro,utf8 0 0`));
    await Deno.writeTextFile("/etc/fstab", `${FSTAB}\nUUID=${drive.uuid} /mnt/flir auto noauto,user,ro,utf8 0 0\n`);
    const doctor = await filesync("doctor");
    assert.match(doctor.text, /mounting: is done by mount\(8\): a line in \/etc\/fstab allows it/);
    const { code, text } = await filesync("sync", "--once", "--json");
    assert.equal(code, 0, text);
    assert.match(text, /"event":"safe_to_unplug"/);
    assert.equal(await Deno.readTextFile(`${HOME}/out/a.jpg`), "picture");
    assert.deepEqual(await mountPointsOf(drive.device!), []);
  });

  test("what the system has mounted is read where it is, and left mounted", async () => {
    await using drive = await plugged({ mount: "never" });
    await drive.mount("/media/system", "ro");
    const { code, text } = await filesync("sync", "--once", "--json");
    assert.equal(code, 0, text);
    assert.equal(await Deno.readTextFile(`${HOME}/out/a.jpg`), "picture");
    assert.deepEqual(await mountPointsOf(drive.device!), ["/media/system"]);
  });
}
