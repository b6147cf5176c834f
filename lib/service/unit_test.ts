import assert from "node:assert/strict";
import { testNeeding } from "../../tests/support/needs.ts";
import { type ServiceFacts, serviceFiles } from "./unit.ts";

const FACTS: ServiceFacts = {
  name: "filesync",
  description: "FileSync",
  program: "/usr/local/bin/filesync",
  args: ["sync", "--config", "/etc/filesync/config.json"],
  configFile: "/etc/filesync/config.json",
  user: "filesync",
  stateDirectory: "filesync",
  hopeless: [2, 3],
  writable: ["/srv/out"],
  readable: ["/srv/in"],
  credentials: [],
  listens: false,
  kept: [],
  serial: false,
  drives: false,
  mounts: false,
  mountPoints: [],
  known: [],
};

function unit(facts: Partial<ServiceFacts> = {}): string {
  return serviceFiles({ ...FACTS, ...facts })[0]!.text;
}

Deno.test("serviceFiles() lets the service write where the configuration does, and nowhere else", () => {
  assert.match(unit(), /^ProtectSystem=strict$/m);
  assert.match(unit(), /^ReadWritePaths=-\/srv\/out$/m);
  assert.match(unit(), /^ProtectHome=yes$/m);
  assert.match(unit({ readable: ["/home/pi/in"] }), /^ProtectHome=read-only$/m);
  assert.match(unit({ writable: ["/srv/two words"] }), /^ReadWritePaths="-\/srv\/two words"$/m);
});

Deno.test("serviceFiles() gives devices to those who have some", () => {
  assert.match(unit(), /^PrivateDevices=yes$/m);
  assert.doesNotMatch(unit({ serial: true }), /PrivateDevices/);
  assert.match(unit({ serial: true }), /^SupplementaryGroups=dialout$/m);
  const drives = { drives: true, mountPoints: ["/mnt/nas"] };
  assert.doesNotMatch(unit(drives), /PrivateDevices/);
  assert.match(unit(drives), /^ReadWritePaths=-\/mnt\/nas$/m);
  assert.equal(serviceFiles({ ...FACTS, ...drives }).length, 1);
  const files = serviceFiles({ ...FACTS, ...drives, mounts: true, user: "pi" });
  assert.deepEqual(files.map(({ path }) => path), [
    "/etc/systemd/system/filesync.service",
    "/etc/polkit-1/rules.d/60-filesync.rules",
  ]);
  assert.match(files[1]!.text, /subject\.user === "pi"/);
});

Deno.test("serviceFiles() gives the service's user the drives that are named, and an autopilot to no modem manager", () => {
  const known = [
    { subsystem: "tty", match: "SYMLINK", value: "serial/by-id/usb-3D_Robotics_PX4_FMU_v4.x_0-if00" },
    { subsystem: "tty", match: "KERNEL", value: "ttyAMA0" },
    { subsystem: "block", match: "ENV{ID_FS_UUID}", value: "D1C6-0146" },
    { subsystem: "block", match: "ENV{ID_FS_LABEL}", value: 'x", RUN+="/bin/false' },
    { subsystem: "block", match: "ENV{ID_FS_LABEL}", value: "*" },
  ] as const;
  const [, rules] = serviceFiles({ ...FACTS, serial: true, known: [...known] });
  assert.equal(rules?.path, "/etc/udev/rules.d/70-filesync.rules");
  assert.deepEqual(rules.text.split("\n").slice(1, -1), [
    'SUBSYSTEM=="tty", SYMLINK=="serial/by-id/usb-3D_Robotics_PX4_FMU_v4.x_0-if00", GROUP="dialout", MODE="0660", ENV{ID_MM_DEVICE_IGNORE}="1"',
    'SUBSYSTEM=="tty", KERNEL=="ttyAMA0", GROUP="dialout", MODE="0660", ENV{ID_MM_DEVICE_IGNORE}="1"',
    'SUBSYSTEM=="block", ENV{ID_FS_UUID}=="D1C6-0146", GROUP="filesync", MODE="0640"',
  ]);
});

Deno.test("serviceFiles() leaves nothing of a path for systemd to read", () => {
  const odd = unit({ program: '/opt/50% "a" $HOME/filesync', args: ["sync", "--config", "/etc/a b.json"] });
  assert.match(
    odd,
    /^ExecStart="\/opt\/50%% \\"a\\" \$\$HOME\/filesync" sync --config "\/etc\/a b\.json"$/m,
  );
  assert.match(unit({ credentials: ["nas"] }), /^LoadCredential=nas:\/etc\/filesync\/credentials\/nas$/m);
});

testNeeding(
  "systemd-analyze",
  "serviceFiles() makes a unit that systemd takes without a word and calls locked in",
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "filesync-unit-" });
    const analyze = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", { args, stdin: "null" }).output();
      const words = new TextDecoder();
      return { code, text: words.decode(stdout) + words.decode(stderr) };
    };
    try {
      const server = { listens: true, credentials: ["ftp-passwd"], hopeless: [2, 3, 6] };
      for (
        const facts of [{}, server, { serial: true, drives: true, credentials: ["nas"], readable: ["/home/pi/in"] }]
      ) {
        const path = `${dir}/filesync.service`;
        // A program that is there, since the unit is checked with it.
        await Deno.writeTextFile(path, unit({ ...facts, program: "/bin/true" }));
        assert.deepEqual(await analyze("verify", "--recursive-errors=no", path), { code: 0, text: "" });
        const { text } = await analyze("security", "--offline=true", "--no-pager", path);
        const [, exposure] = /Overall exposure level for .*: ([\d.]+)/.exec(text) ?? [];
        assert(Number(exposure) <= 2.5, text);
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
