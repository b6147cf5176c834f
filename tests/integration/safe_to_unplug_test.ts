/** A person plugs a drive in, waits for the word, and pulls it: the whole program with a real filesystem. */
import assert from "node:assert/strict";
import { startFtpServer } from "../support/ftp_servers.ts";
import { DRIVES, hasDrives, LoopDrive, mountPointsOf } from "../support/loop_drive.ts";
import { testNeeding } from "../support/needs.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

/** The program's events as they come. */
async function* eventsOf(child: Deno.ChildProcess): AsyncGenerator<Record<string, unknown>> {
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

/** `filesync sync` with a configuration, until `run` has seen what it wants to see. */
async function whileItRuns(
  args: string[],
  run: (events: AsyncGenerator<Record<string, unknown>>, child: Deno.ChildProcess) => Promise<void>,
): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "null", stdin: "null" }).spawn();
  try {
    await run(eventsOf(child), child);
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
  }
}

/** What another command of the program says meanwhile. */
async function said(command: string, base: string, ...args: string[]): Promise<string> {
  const words = ["run", "-A", "--no-prompt", MAIN, command, ...args, "--config", `${base}/config.json`];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: words, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

async function config(
  base: string,
  source: Record<string, unknown>,
  target: Record<string, unknown>,
  job: Record<string, unknown> = {},
): Promise<string[]> {
  await Deno.mkdir(`${base}/out`, { recursive: true });
  await Deno.writeTextFile(
    `${base}/config.json`,
    JSON.stringify({
      state: "state.db",
      spool: { dir: "spool", min_free: 0 },
      hooks: {
        safe_to_unplug: ["sh", "-c", `echo "$FILESYNC_DEVICE $1" >> "$2"`, "sh", "with blanks", `${base}/hook`],
      },
      jobs: [{ name: "flir", source, target, finder: { interval: "200ms", settle: "0s" }, ...job }],
    }),
  );
  return ["run", "-A", "--no-prompt", MAIN, "sync", "--config", `${base}/config.json`, "--json"];
}

testNeeding(
  DRIVES,
  "sync lets a drive go when all is in the spool, tells it, and goes on at its next visit",
  async () => {
    const base = await Deno.makeTempDir({ prefix: "filesync-unplug-" });
    await using drive = await LoopDrive.make(base);
    await using again = await LoopDrive.make(base, { uuid: drive.uuid });
    await drive.fill({ "a.jpg": "one", "b.jpg": "two" });
    await again.fill({ "a.jpg": "one", "b.jpg": "two", "c.jpg": "three" });
    const source = { driver: "disk", args: { uuid: drive.uuid, mount_point: `${base}/mount` } };
    const args = await config(base, source, { driver: "local", args: { dir: `${base}/out` } });
    try {
      await whileItRuns(args, async (events, child) => {
        const downloaded: unknown[] = [];
        let visits = 0;
        for await (const event of events) {
          if (event.event === "start") await drive.plugIn();
          if (event.event === "downloaded") downloaded.push(event.path);
          if (event.event !== "safe_to_unplug") continue;
          assert.equal(event.device, "flir.source");
          const plugged = visits === 0 ? drive : again;
          assert.deepEqual(await mountPointsOf(plugged.device!), []);
          assert.deepEqual(downloaded.splice(0).sort(), visits === 0 ? ["a.jpg", "b.jpg"] : ["c.jpg"]);
          assert.match(
            await said("status", base),
            /flir\.source .*held .*Everything is in the spool: the drive can be pulled/,
          );
          assert.match(await said("why", base, "a.jpg"), /delivered|spool/);
          await plugged.detach();
          if (++visits === 2) child.kill("SIGTERM");
          else await again.plugIn();
        }
        assert.equal(visits, 2);
        await child.status;
      });
      assert.equal(await Deno.readTextFile(`${base}/hook`), "flir.source with blanks\n".repeat(2));
    } finally {
      await Deno.remove(base, { recursive: true });
    }
  },
  hasDrives(),
);

/** Downloads that are under way when a drive is met are ended first: at most so many for each job. */
const MOVERS = 2;

testNeeding(
  DRIVES,
  "sync empties a drive before it goes on with a slower source, and lets it go though no target is there",
  async () => {
    const base = await Deno.makeTempDir({ prefix: "filesync-unplug-" });
    await using drive = await LoopDrive.make(base);
    const pictures = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`${n}.jpg`, new Uint8Array(100_000)]));
    await drive.fill(pictures);
    await Deno.mkdir(`${base}/slow`);
    for (let n = 0; n < 400; n++) await Deno.writeFile(`${base}/slow/${n}.log`, new Uint8Array(20_000));
    const server = await startFtpServer("pyftpdlib", { root: `${base}/slow` });
    const { host, port, user, passwd } = server;
    // Nobody answers there: what was fetched stays in the spool.
    const away = { driver: "ftp", args: { host, port: 1, user, passwd } };
    const finder = { interval: "200ms", settle: "0s" };
    await Deno.writeTextFile(
      `${base}/config.json`,
      JSON.stringify({
        spool: { min_free: 0 },
        jobs: [
          {
            name: "slow",
            source: { driver: "ftp", args: { host, port, user, passwd } },
            target: away,
            finder,
            movers: MOVERS,
            limits: { download: "200KiB/s" },
          },
          {
            name: "flir",
            source: { driver: "disk", args: { uuid: drive.uuid, mount_point: `${base}/mount` } },
            target: away,
            finder,
            movers: MOVERS,
            limits: { download: "1MiB/s" },
          },
        ],
      }),
    );
    try {
      const args = ["run", "-A", "--no-prompt", MAIN, "sync", "--config", `${base}/config.json`, "--json"];
      await whileItRuns(args, async (events, child) => {
        const order: string[] = [];
        for await (const { event, job } of events) {
          if (event === "downloaded") order.push(job as string);
          if (event === "downloaded" && order.length === 3) await drive.plugIn();
          if (event === "safe_to_unplug") child.kill("SIGTERM");
        }
        const first = order.indexOf("flir");
        assert.ok(first >= 3, "The slow source was at work before");
        const between = order.slice(first, order.lastIndexOf("flir")).filter((job) => job === "slow").length;
        assert.equal(order.filter((job) => job === "flir").length, 40);
        assert.ok(between <= MOVERS, `${between} files of the slow source came meanwhile: ${order.join(" ")}`);
      });
    } finally {
      await server.stop();
      await drive[Symbol.asyncDispose]();
      await Deno.remove(base, { recursive: true });
    }
  },
  hasDrives(),
);

testNeeding(DRIVES, "sync that removes what it delivered goes on after a pull in the middle of it", async () => {
  const base = await Deno.makeTempDir({ prefix: "filesync-unplug-" });
  await using drive = await LoopDrive.make(base);
  const names = Array.from({ length: 300 }, (_, n) => `${n}.jpg`);
  await drive.fill(Object.fromEntries(names.map((name) => [name, name])));
  const source = { driver: "disk", args: { uuid: drive.uuid, mount_point: `${base}/mount` } };
  const args = await config(base, source, { driver: "local", args: { dir: `${base}/out` } }, { after: "delete" });
  const before = await drive.plugIn();
  try {
    await whileItRuns(args, async (events, child) => {
      let removed = 0;
      let isPulled = false;
      for await (const { event } of events) {
        if (event === "removed" && ++removed === 1) {
          await drive.pull({ isInUse: true });
          await drive.detach();
          isPulled = true;
          await drive.plugInElsewhere(before);
        }
        if (event === "safe_to_unplug" && isPulled) child.kill("SIGTERM");
      }
      assert.ok(isPulled);
    });
    await drive.detach();
    assert.deepEqual([...(await drive.files()).keys()], []);
    assert.deepEqual([...Deno.readDirSync(`${base}/out`)].map(({ name }) => name).sort(), [...names].sort());
  } finally {
    await drive[Symbol.asyncDispose]();
    await Deno.remove(base, { recursive: true });
  }
}, hasDrives());

testNeeding(DRIVES, "sync --once lets a source and a target drive go at its end", async () => {
  const base = await Deno.makeTempDir({ prefix: "filesync-unplug-" });
  await using from = await LoopDrive.make(base);
  await using to = await LoopDrive.make(base);
  await from.fill({ "day/a.jpg": "one" });
  await from.plugIn();
  await to.plugIn();
  const disk = ({ uuid }: LoopDrive) => ({ driver: "disk", args: { uuid, mount_point: `${base}/${uuid}` } });
  try {
    const args = await config(base, disk(from), disk(to));
    const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: [...args, "--once"], stderr: "null" })
      .output();
    const events = new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(code, 0);
    const safe = events.filter(({ event }) => event === "safe_to_unplug").map(({ device }) => device);
    assert.deepEqual(safe.sort(), ["flir.disk", "flir.source"]);
    for (const drive of [from, to]) assert.deepEqual(await mountPointsOf(drive.device!), []);
    await to.detach();
    assert.deepEqual([...(await to.files()).keys()], ["day/a.jpg"]);
  } finally {
    for (const drive of [from, to]) await drive[Symbol.asyncDispose]();
    await Deno.remove(base, { recursive: true });
  }
}, hasDrives());
