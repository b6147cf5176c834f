/**
 * The original program's configuration of a FLIR Duo, as it is: the drive with that UUID, mounted there, to that server.
 * In a guest, where the machine can have that address and the drive that filesystem.
 */
import assert from "node:assert/strict";
import { isInGuest } from "../support/guest.ts";
import { LoopDrive, mountPointsOf, tool } from "../support/loop_drive.ts";

const ORIGINAL = new URL("../fixtures/config/original_disk_ftp.json", import.meta.url).pathname;
const PYFTPD = new URL("../support/pyftpd.py", import.meta.url).pathname;
const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;
/** What the file says of its server. */
const SERVER = { host: "192.168.20.131", port: 21, user: "test-1", passwd: "passwd", root: "/srv" };

if (isInGuest(import.meta.url, "sync with the original program's file empties a FLIR Duo's drive to an FTP server")) {
  Deno.test("the original file works unchanged", async () => {
    await tool("ip", "address", "add", `${SERVER.host}/24`, "dev", "lo");
    const server = new Deno.Command("python3", { args: [PYFTPD, JSON.stringify(SERVER)], stderr: "null" }).spawn();
    const base = await Deno.makeTempDir();
    await using drive = await LoopDrive.make(base, { filesystem: "vfat", uuid: "D1C6-0146", sizeMib: 64 });
    try {
      await untilAnswered();
      await drive.fill({
        "DCIM/a.jpg": "picture",
        "b.tiff": "heat",
        "c.mov": "not asked for",
        "files/d.jpg": "excluded",
      });
      await drive.plugIn();
      await Deno.copyFile(ORIGINAL, `${base}/config.json`);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", MAIN, "sync", "--config", `${base}/config.json`, "--once", "--json"],
        cwd: base,
      }).output();
      const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assert.equal(code, 0, text);
      assert.match(text, /"event":"safe_to_unplug"/);
      assert.equal(await Deno.readTextFile("/srv/DCIM/a.jpg"), "picture");
      assert.equal(await Deno.readTextFile("/srv/b.tiff"), "heat");
      assert.deepEqual([...Deno.readDirSync("/srv")].map(({ name }) => name).sort(), ["DCIM", "b.tiff"]);
      assert.deepEqual(await mountPointsOf(drive.device!), []);
    } finally {
      server.kill("SIGKILL");
      await server.status;
    }
  });
}

async function untilAnswered(): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      return (await Deno.connect({ hostname: SERVER.host, port: SERVER.port })).close();
    } catch (error) {
      if (tries === 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
