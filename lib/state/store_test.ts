import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { testNeeding } from "../../tests/support/needs.ts";
import { StateError } from "./errors.ts";
import { lockHolder, Store } from "./store.ts";

async function inDir(run: (path: string, dir: string) => void | Promise<void>): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "filesync-store-" });
  try {
    await run(join(dir, "state.db"), dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

const isState = (code: string, words?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StateError, String(error));
  assert.equal(error.code, code);
  if (words !== undefined) assert.match(`${error.message} | ${error.hint ?? ""}`, words);
  return true;
};

const put = (store: Store, key: string, value = "1") => store.write(() => store.setMeta(key, value));

/** What another connection sees: only what was committed. */
function committed(path: string, key: string): string | undefined {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return (db.prepare("SELECT value FROM meta WHERE key = ?").get(key) as { value: string } | undefined)?.value;
  } finally {
    db.close();
  }
}

Deno.test("Store makes its schema in a new file, and keeps what an earlier process wrote", async () => {
  await inDir((path) => {
    {
      using store = new Store(path);
      put(store, "k", "v");
    }
    using store = new Store(path);
    assert.equal(store.meta("k"), "v");
    assert.equal(store.get<{ journal_mode: string }>("PRAGMA journal_mode")!.journal_mode, "wal");
    assert.equal(store.get<{ synchronous: number }>("PRAGMA synchronous")!.synchronous, 2);
    assert.deepEqual(store.all("PRAGMA foreign_key_check"), []);
    const loose = store.all<{ name: string }>(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0",
    );
    assert.deepEqual(loose.filter(({ name }) => !name.startsWith("sqlite_")), []);
  });
});

Deno.test("Store refuses a schema that is newer, and lets go of the file and the lock", async () => {
  await inDir((path) => {
    new Store(path).close();
    const db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 999");
    db.close();
    assert.throws(() => new Store(path), isState("unusable", /newer filesync/));
    assert.equal(lockHolder(path), undefined);
    const open = [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
      try {
        return [Deno.readLinkSync(`/proc/self/fd/${name}`)];
      } catch {
        return [];
      }
    });
    assert.deepEqual(open.filter((file) => file.startsWith(path)), []);
  });
});

Deno.test("Store calls what is no database, or a damaged one, damaged and says what to do", async () => {
  await inDir((path, dir) => {
    Deno.writeTextFileSync(path, "This is a letter to my aunt and no database. ".repeat(100));
    assert.throws(() => new Store(path), isState("damaged", /backup.*--rebuild-state/));
    Deno.mkdirSync(join(dir, "folder.db"));
    assert.throws(() => new Store(join(dir, "folder.db")), isState("unusable", /is a directory/));
    Deno.writeTextFileSync(join(dir, "file"), "");
    assert.throws(() => new Store(join(dir, "file", "state.db")), isState("unusable"));
  });
});

/** Opens a store in another process, says so, and holds it until its stdin ends. */
const HOLDER = `
  const { Store } = await import(${JSON.stringify(new URL("./store.ts", import.meta.url).href)});
  const store = new Store(Deno.args[0]);
  store.write(() => store.setMeta("child", "committed"));
  await store.durable();
  store.write(() => store.setMeta("child", "not committed"));
  console.log("open");
  for await (const _ of Deno.stdin.readable);
`;

async function hold(path: string): Promise<Deno.ChildProcess> {
  const script = `${path}.holder.ts`;
  Deno.writeTextFileSync(script, HOLDER);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", script, path],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  return child;
}

Deno.test("Store tells a second process the pid of the first, and SIGKILL frees the lock", async () => {
  await inDir(async (path) => {
    const child = await hold(path);
    try {
      assert.throws(() => new Store(path), isState("locked", new RegExp(`\\b${child.pid}\\b`)));
      assert.equal(lockHolder(path), child.pid);
      using reader = new Store(path, { readOnly: true });
      assert.match(reader.meta("child")!, /committed/, "a reader sees what is committed while a writer works");
      assert.throws(() => reader.write(() => reader.setMeta("x", "y")));
    } finally {
      child.kill("SIGKILL");
      await child.stdin.close();
      await child.status;
    }
    assert.equal(lockHolder(path), undefined);
    using store = new Store(path);
    assert.ok(["committed", "not committed"].includes(store.meta("child")!));
  });
});

Deno.test("Store is locked for a second one of the same process, and free after close()", async () => {
  await inDir((path) => {
    const first = new Store(path);
    assert.throws(() => new Store(path), isState("locked", new RegExp(String(Deno.pid))));
    first.close();
    first.close();
    new Store(path).close();
  });
});

Deno.test("Store opened for looking makes nothing where nothing is", async () => {
  await inDir((path, dir) => {
    assert.throws(() => new Store(path, { readOnly: true }), isState("unusable"));
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  });
});

Deno.test("durable() resolves after the commit, and all that came together share it", async () => {
  await inDir(async (path) => {
    using store = new Store(path);
    let commits = 0;
    const flush = store.flush.bind(store);
    store.flush = () => {
      commits++;
      flush();
    };
    const waits = Array.from({ length: 50 }, (_, n) => {
      put(store, `k${n}`);
      return store.durable();
    });
    assert.equal(committed(path, "k0"), undefined, "nothing is committed yet");
    assert.equal(store.meta("k0"), "1", "but this process sees it");
    await Promise.all(waits);
    assert.equal(committed(path, "k49"), "1");
    assert.equal(commits, 1);
    await store.durable();
    assert.equal(commits, 1, "nothing to do");
  });
});

Deno.test("write() undoes a change that fails, and only that", async () => {
  await inDir(async (path) => {
    using store = new Store(path);
    put(store, "before");
    assert.throws(() =>
      store.write(() => {
        store.setMeta("inside", "1");
        throw new Error("Mine");
      }), /Mine/);
    assert.throws(() =>
      store.write(() => {
        store.setMeta("outer", "1");
        store.write(() => store.run("INSERT INTO meta VALUES (NULL, NULL)"));
      })
    );
    store.write(() => {
      store.setMeta("kept", "1");
      try {
        store.write(() => {
          store.setMeta("lost", "1");
          throw new Error("Inner");
        });
      } catch {
        // The outer change goes on without the inner one.
      }
    });
    put(store, "after");
    await store.durable();
    const seen = ["before", "inside", "outer", "kept", "lost", "after"].map((key) => committed(path, key));
    assert.deepEqual(seen, ["1", undefined, undefined, "1", undefined, "1"]);
  });
});

Deno.test("run() outside write() is refused", async () => {
  await inDir((path) => {
    using store = new Store(path);
    assert.throws(() => store.run("DELETE FROM meta"), /outside/);
  });
});

Deno.test("close() commits what was written", async () => {
  await inDir((path) => {
    const store = new Store(path);
    put(store, "k");
    store.close();
    assert.equal(committed(path, "k"), "1");
  });
});

Deno.test("Store says no_space when it may not grow, loses only what was not durable, and works on when it may", async () => {
  await inDir(async (path) => {
    using store = new Store(path);
    put(store, "before");
    await store.durable();
    const pages = store.get<{ page_count: number }>("PRAGMA page_count")!.page_count;
    store.all(`PRAGMA max_page_count = ${pages}`);
    const big = "x".repeat(100_000);
    const small = (() => {
      put(store, "small");
      return store.durable();
    })();
    small.catch(() => {});
    assert.throws(() => put(store, "big", big), isState("no_space"));
    await small.then(() => assert.equal(committed(path, "small"), "1"), isState("no_space"));
    store.all("PRAGMA max_page_count = 1000000");
    put(store, "big", big);
    await store.durable();
    assert.equal(committed(path, "big"), big);
    assert.equal(committed(path, "before"), "1");
  });
});

testNeeding("mount of a tmpfs (root)", "Store survives a disk that is really full", async () => {
  await inDir(async (_, dir) => {
    const disk = join(dir, "disk");
    Deno.mkdirSync(disk);
    await sh("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk);
    try {
      const path = join(disk, "state.db");
      const store = new Store(path);
      try {
        put(store, "before");
        await store.durable();
        const ballast = join(disk, "ballast");
        fill(ballast);
        let failure: unknown;
        for (let n = 0; n < 2000 && failure === undefined; n++) {
          try {
            put(store, `k${n}`, "x".repeat(2000));
            await store.durable();
          } catch (error) {
            failure = error;
          }
        }
        assert.ok(isState("no_space")(failure));
        assert.equal(store.meta("before"), "1", "it still can be read");
        Deno.removeSync(ballast);
        put(store, "after");
        await store.durable();
        assert.equal(committed(path, "after"), "1");
        assert.equal(store.get<{ integrity_check: string }>("PRAGMA integrity_check")!.integrity_check, "ok");
      } finally {
        store.close();
      }
      fill(join(disk, "ballast"));
      assert.throws(() => new Store(path).close(), isState("no_space"));
      Deno.removeSync(join(disk, "ballast"));
      new Store(path).close();
    } finally {
      await sh("umount", disk);
    }
  });
}, canMount());

async function sh(...args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command(args[0]!, { args: args.slice(1), stderr: "piped" }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}

function canMount(): boolean {
  const dir = Deno.makeTempDirSync();
  try {
    const mount = new Deno.Command("mount", { args: ["-t", "tmpfs", "tmpfs", dir], stderr: "null" });
    if (!mount.outputSync().success) return false;
    return new Deno.Command("umount", { args: [dir] }).outputSync().success;
  } catch {
    return false;
  } finally {
    Deno.removeSync(dir);
  }
}

function fill(path: string): void {
  const file = Deno.openSync(path, { write: true, create: true });
  try {
    for (const size of [65536, 4096, 1]) {
      try {
        for (;;) file.writeSync(new Uint8Array(size));
      } catch {
        // Full at this size.
      }
    }
  } finally {
    file.close();
  }
}

Deno.test("writeOne() is one change: kept with those of its transaction, undone alone when it fails", async () => {
  await inDir(async (path) => {
    using store = new Store(path);
    const set = "INSERT INTO meta VALUES (?, ?)";
    assert.equal(store.writeOne(set, "first", "1"), 1);
    // The second row of the statement breaks the key: the first one goes, too.
    assert.throws(() => store.writeOne("INSERT INTO meta VALUES ('new', '1'), ('first', '2')"));
    assert.equal(store.writeOne(set, "second", "1"), 1);
    await store.durable();
    assert.deepEqual(["first", "new", "second"].map((key) => committed(path, key)), ["1", undefined, "1"]);
  });
});
