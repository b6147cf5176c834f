/**
 * Several cards under one name, with a driver in Python that says which one is in: same paths, sizes and times, other
 * bytes. Device ids, generations and receipts keep them apart.
 */
import assert from "node:assert/strict";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, jsonLines, localJob, Running } from "./support.ts";

const DRIVER = `import json, os, sys

root = None
told = None

def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
    sys.stdout.flush()

def card():
    return os.readlink(os.path.join(root, "in"))

def tell():
    global told
    if told != card():
        told = card()
        send({"method": "$/state", "params": {"available": True, "deviceId": told}})

def entry(path):
    stat = os.stat(os.path.join(root, "in", path))
    # A camera's clock and counters: every card has the same names, sizes and times.
    return {"path": path, "kind": "file", "sizeBytes": stat.st_size, "modifiedMs": int(stat.st_mtime) * 1000}

def swap(when):
    # Somebody changes the card in the middle of this call.
    trap = os.path.join(root, "swap-in-" + when)
    if os.path.exists(trap):
        to = open(trap).read()
        os.remove(trap)
        os.symlink(to, os.path.join(root, "new"))
        os.rename(os.path.join(root, "new"), os.path.join(root, "in"))
        tell()

def names():
    return sorted(name for name in os.listdir(os.path.join(root, "in")))

for line in sys.stdin:
    request = json.loads(line)
    method, params, call = request["method"], request.get("params", {}), request.get("id")
    if call is None:
        continue
    result = {}
    if method == "initialize":
        root = params["args"]["dir"]
        told = card()
        result = {"name": "cards", "version": "1.0.0", "deviceId": told, "capabilities": {"remove": True, "modifiedPrecisionMs": 1000}}
    elif method == "list":
        tell()
        for name in names():
            if not os.path.exists(os.path.join(root, "in", name)):
                continue
            send({"method": "$/entries", "params": {"id": call, "entries": [entry(name)]}})
            swap("list")
        result = {"complete": True}
    elif method == "stat":
        tell()
        result = {"path": "", "kind": "directory"} if params["path"] == "" else entry(params["path"])
    elif method == "download":
        tell()
        swap("download")
        data = open(os.path.join(root, "in", params["path"]), "rb").read()
        with open(params["spoolFile"], "r+b") as spool:
            spool.truncate(0)
            spool.write(data)
        fingerprint = entry(params["path"])
        result = {"sizeBytes": len(data), "fingerprint": {key: fingerprint[key] for key in ("sizeBytes", "modifiedMs")}}
    elif method == "remove":
        tell()
        os.remove(os.path.join(root, "in", params["path"]))
    send({"id": call, "result": result})
    if method == "shutdown":
        break
`;

/** A reader for cards, with the cards `A` and `B`; `A` is in. */
async function withCards(dir: string, job: Record<string, unknown> = {}): Promise<Record<string, string>> {
  await Deno.mkdir(`${dir}/plugins/cards`, { recursive: true });
  await Deno.writeTextFile(`${dir}/plugins/cards/main.py`, DRIVER);
  await Deno.writeTextFile(
    `${dir}/plugins/cards/filesync-plugin.json`,
    JSON.stringify({
      name: "cards",
      version: "1.0.0",
      protocol: 1,
      description: "A reader for cards",
      roles: ["source"],
      command: ["python3", "./main.py"],
      args: { type: "object", properties: { dir: { type: "string" } } },
    }),
  );
  await localJob(dir, { source: { driver: "cards", args: { dir: `${dir}/reader` } }, ...job });
  for (const card of ["A", "B"]) await Deno.mkdir(`${dir}/reader/${card}`, { recursive: true });
  await insert(dir, "A");
  return { FILESYNC_PLUGIN_PATH: `${dir}/plugins` };
}

async function insert(dir: string, card: string): Promise<void> {
  await Deno.symlink(card, `${dir}/reader/new`);
  await Deno.rename(`${dir}/reader/new`, `${dir}/reader/in`);
}

/** Equal sizes and times on every card. */
async function put(dir: string, card: string, name: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${dir}/reader/${card}/${name}`, text.padEnd(100, "."));
  await Deno.utime(`${dir}/reader/${card}/${name}`, 1_700_000_000, 1_700_000_000);
}

function tree(dir: string, below = ""): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of Deno.readDirSync(`${dir}/${below}`)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory) Object.assign(files, tree(dir, path));
    else files[path] = Deno.readTextFileSync(`${dir}/${path}`).replace(/\.+$/, "");
  }
  return files;
}

const once = (dir: string, env: Record<string, string>) => filesync(dir, ["sync", "--once", "-q"], env);

testNeeding(
  "python3",
  "a swapped card with the same names, sizes and times is another source: nothing is replaced, all is delivered once",
  async () => {
    await inTempDir(async (dir) => {
      const env = await withCards(dir, { on_change: "replace" });
      for (const card of ["A", "B"]) for (const n of [1, 2]) await put(dir, card, `log${n}`, `${card}${n}`);
      assert.equal((await once(dir, env)).code, 0);
      await insert(dir, "B");
      assert.equal((await once(dir, env)).code, 0);
      const both = { log1: "A1", log2: "A2", "log1~2": "B1", "log2~2": "B2" };
      assert.deepEqual(tree(`${dir}/out`), both);
      await insert(dir, "A");
      assert.equal((await once(dir, env)).code, 0);
      assert.deepEqual(tree(`${dir}/out`), both, "known cards bring nothing new");
      // A newer content on one card replaces that card's older one, and nobody else's.
      await Deno.writeTextFile(`${dir}/reader/A/log1`, "A1 anew");
      await Deno.writeTextFile(`${dir}/reader/B/log1`, "B1 anew, too");
      assert.equal((await once(dir, env)).code, 0);
      await insert(dir, "B");
      assert.equal((await once(dir, env)).code, 0);
      assert.deepEqual(tree(`${dir}/out`), { ...both, log1: "A1 anew", "log1~2": "B1 anew, too" });
      const why = jsonLines((await filesync(dir, ["why", "log1", "--json"], env)).stdout);
      assert.deepEqual(why.map(({ deviceId }) => deviceId), ["A", "B"]);
    });
  },
);

testNeeding(
  "python3",
  "a newer content whose older one was changed on the target by somebody does not replace it",
  async () => {
    await inTempDir(async (dir) => {
      const env = await withCards(dir, { on_change: "replace" });
      await put(dir, "A", "log1", "A1");
      assert.equal((await once(dir, env)).code, 0);
      await Deno.writeTextFile(`${dir}/out/log1`, "somebody's notes");
      await Deno.writeTextFile(`${dir}/reader/A/log1`, "A1 anew");
      assert.equal((await once(dir, env)).code, 0);
      assert.deepEqual(tree(`${dir}/out`), { log1: "somebody's notes", "log1~2": "A1 anew" });
    });
  },
);

testNeeding("python3", "with {device} in the path each card has its folder", async () => {
  await inTempDir(async (dir) => {
    const env = await withCards(dir, { path: "{device}/{path}" });
    for (const card of ["A", "B"]) await put(dir, card, "log1", `${card}1`);
    assert.equal((await once(dir, env)).code, 0);
    await insert(dir, "B");
    assert.equal((await once(dir, env)).code, 0);
    assert.deepEqual(tree(`${dir}/out`), { "A/log1": "A1", "B/log1": "B1" });
  });
});

testNeeding(
  "python3",
  "forty vehicles with one name for their logs do not collide with {device} in the path",
  async () => {
    await inTempDir(async (dir) => {
      const env = await withCards(dir, { path: "{device}/{path}", finder: { settle: "0s", interval: "200ms" } });
      const vehicles = Array.from({ length: 40 }, (_, n) => `vehicle-${n}`);
      for (const vehicle of vehicles) {
        await Deno.mkdir(`${dir}/reader/${vehicle}`);
        await put(dir, vehicle, "log100.ulg", vehicle);
      }
      // One that calls itself by a way out of the target's directory.
      const hostile = "../reader/vehicle-0";
      await insert(dir, vehicles[0]!);
      const running = new Running(dir, ["sync", "--json"], env);
      try {
        for (const vehicle of [...vehicles, hostile]) {
          await insert(dir, vehicle);
          const path = `${vehicle.replaceAll("/", "_")}/log100.ulg`.replaceAll(".", "\\.");
          await running.stdoutMatches(new RegExp(`"event":"delivered".*"path":"${path}"`));
        }
      } finally {
        running.child.kill("SIGTERM");
        await running.ended();
      }
      const expected = Object.fromEntries(vehicles.map((vehicle) => [`${vehicle}/log100.ulg`, vehicle]));
      assert.deepEqual(tree(`${dir}/out`), { ...expected, ".._reader_vehicle-0/log100.ulg": "vehicle-0" });
      const manifest = (await filesync(dir, ["manifest"], env)).stdout;
      assert.equal(manifest.trimEnd().split("\n").length, 41);
    });
  },
);

for (const when of ["list", "download"]) {
  testNeeding(
    "python3",
    `a card that is swapped in the middle of a ${when} gives its files to nobody else`,
    async () => {
      await inTempDir(async (dir) => {
        const env = await withCards(dir, { path: "{device}/{path}", finder: { settle: "0s", interval: "200ms" } });
        for (const card of ["A", "B"]) for (const n of [1, 2, 3]) await put(dir, card, `log${n}`, `${card}${n}`);
        await Deno.writeTextFile(`${dir}/reader/swap-in-${when}`, "B");
        const running = new Running(dir, ["sync", "--json"], env);
        try {
          for (const n of [1, 2, 3]) {
            await running.stdoutMatches(new RegExp(`"event":"delivered".*"path":"log${n}".*"path":"B/`));
          }
          assert.deepEqual(
            Object.entries(tree(`${dir}/out`)).filter(([path, text]) => !path.startsWith(`${text[0]}/`)),
            [],
            "each file is in its card's folder",
          );
          await insert(dir, "A");
          for (const n of [1, 2, 3]) {
            await running.stdoutMatches(new RegExp(`"event":"delivered".*"path":"log${n}".*"path":"A/`));
          }
        } finally {
          running.child.kill("SIGTERM");
          await running.ended();
        }
        const expected = Object.fromEntries(
          ["A", "B"].flatMap((card) => [1, 2, 3].map((n) => [`${card}/log${n}`, `${card}${n}`])),
        );
        assert.deepEqual(tree(`${dir}/out`), expected);
      });
    },
  );
}

testNeeding(
  "python3",
  "nothing is removed from a card that was swapped in, although its files look like delivered ones",
  async () => {
    await inTempDir(async (dir) => {
      const env = await withCards(dir, {
        after: "delete",
        grace: "3s",
        path: "{device}/{path}",
        finder: { settle: "0s", interval: "1h" },
      });
      for (const card of ["A", "B"]) await put(dir, card, "log1", `${card}1`);
      const running = new Running(dir, ["sync", "--json"], env);
      try {
        await running.stdoutMatches(/"event":"delivered"/);
        await insert(dir, "B");
        // The driver finds out when it is next asked, and that is when the grace is over.
        await new Promise((resolve) => setTimeout(resolve, 5000));
      } finally {
        running.child.kill("SIGTERM");
        await running.ended();
      }
      assert.deepEqual(tree(`${dir}/reader/B`), { log1: "B1" });
    });
  },
);
