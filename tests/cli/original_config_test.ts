// Goal: a configuration file of the original program (urpylka/filesync 9167148: config.json with the devices of its
// docs/README.md) works as it is. Method: the real program against real servers; nothing but addresses, login and file
// rules is another.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { sampleCard, startAutopilot } from "../support/autopilot/mod.ts";
import { FlightReview } from "../support/flight_review.ts";
import { testNeeding } from "../support/needs.ts";
import { startWebdavServer } from "../support/webdav_servers.ts";
import { QUIET, ROOT } from "./autopilot_support.ts";
import { filesync, inTempDir } from "./support.ts";

const ULOG = new Uint8Array([
  0x55,
  0x4c,
  0x6f,
  0x67,
  0x01,
  0x12,
  0x35,
  0x01,
  ...Array.from({ length: 5000 }, (_, n) => n),
]);

/** The original's config.json with another target. */
function worker(target: unknown): unknown {
  return {
    gui: true,
    enable: true,
    name: "worker_1",
    mover_count: 4,
    logger: { log_path: "./temp/worker_1.log", log_level: "ERROR", console_output: true },
    finder: { searching_times: 0, search_interval: 10, mkdir_times: 0, mkdir_interval: 1 },
    db_backup: { db_path: "./temp/worker_1.json", autosave_interval: 5 },
    db: {
      default_record: {
        source_path: "",
        local_path: "",
        target_path: "",
        size: -1,
        created: "",
        modified: "",
        hash: "",
        downloaded: false,
        dropped: false,
        uploaded: false,
      },
      key: "source_path",
    },
    rules: { include: ["*"], exclude: ["/files/*", "*.tiff"] },
    source: { device: "device_local", args: { mount_point: "./temp/source" } },
    target,
  };
}

async function withWorker(target: unknown, run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-original-" });
  try {
    mkdirSync(`${dir}/temp/source/sess001`, { recursive: true });
    writeFileSync(`${dir}/temp/source/sess001/log100.ulg`, ULOG);
    writeFileSync(`${dir}/temp/source/picture.tiff`, "excluded");
    writeFileSync(`${dir}/config.json`, JSON.stringify(worker(target)));
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

testNeeding("rclone", "the original's configuration with a device_webdav target works as it is", async () => {
  const root = await Deno.makeTempDir({ prefix: "filesync-original-dav-" });
  const server = await startWebdavServer("rclone", { root });
  try {
    const { url: host, user, passwd } = server;
    const target = { device_class: "WEBDAV", module_path: "device_webdav", args: { host, user, passwd } };
    await withWorker(target, async (dir) => {
      const ended = await filesync(dir, ["sync", "--once"]);
      assert.equal(ended.code, 0, ended.stderr);
      assert.deepEqual(new Uint8Array(readFileSync(`${root}/sess001/log100.ulg`)), ULOG);
      assert.deepEqual([...Deno.readDirSync(root)].map(({ name }) => name), ["sess001"]);
    });
  } finally {
    await server.stop();
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("the original's configuration with a device_post target works as it is", async () => {
  const server = await FlightReview.start();
  try {
    const args = {
      uploader_url: server.url,
      values: {
        description: "",
        additional_feedback: "",
        email: "email@test.com",
        allow_for_analysis: false,
        obfuscated: false,
      },
    };
    await withWorker({ device_class: "POST", module_path: "device_post", args }, async (dir) => {
      const ended = await filesync(dir, ["sync", "--once"]);
      assert.equal(ended.code, 0, ended.stderr);
      const [log] = server.logs;
      assert.deepEqual([server.logs.length, log?.fileName, log?.isPublic], [1, "log100.ulg", false]);
      assert.deepEqual(log!.bytes, ULOG);
      const { description, feedback, email, allowForAnalysis, obfuscated } = log!.fields;
      assert.deepEqual([feedback, email, allowForAnalysis, obfuscated], ["", "email@test.com", "false", "false"]);
      assert.match(description!, /^sha256:/);
    });
  } finally {
    await server.stop();
  }
});

Deno.test("the original's MAVFTP device moves the logs of an autopilot", async () => {
  const files = sampleCard("px4-1.11", { count: 2, sizeBytes: 60_000 });
  await using vehicle = await startAutopilot({
    transport: { kind: "udp-listen", port: 0 },
    personality: "px4-1.11",
    traffic: QUIET,
    files,
  });
  await inTempDir(async (dir) => {
    mkdirSync(`${dir}/temp/target`, { recursive: true });
    // ROS knew where the autopilot is: without "url" it is looked for at /dev/ttyACM0.
    const source = { device_class: "MAVFTP", module_path: "device_mavftp", args: { logger: null, url: vehicle.url } };
    const target = { device: "device_local", args: { mount_point: "./temp/target" } };
    writeFileSync(`${dir}/config.json`, JSON.stringify({ ...worker(target) as object, source }));
    const { code, stderr } = await filesync(dir, ["sync", "--once"]);
    assert.equal(code, 0, stderr);
    for (const path of files.paths()) {
      const name = path.slice(ROOT.length + 1);
      assert.deepEqual(new Uint8Array(readFileSync(`${dir}/temp/target/${name}`)), files.bytes(path), name);
    }
    assert.equal(vehicle.stats.count("RemoveFile"), 0, "what the original removed stays, as the notice says");
  });
});
