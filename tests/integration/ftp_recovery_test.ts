/** The `ftp` driver when connections break, replies are lost and servers have odd habits. */
import assert from "node:assert/strict";
import { temporaryPath } from "../../lib/driver/mod.ts";
import type { FtpDriver } from "../../plugins/ftp/driver.ts";
import { directCall, type OpenDriver } from "../support/direct_call.ts";
import { type FtpBed, type FtpBedOptions, names, randomBytes, rejectsWith, withFtp } from "../support/ftp_bed.ts";
import { type FtpProxy, type FtpProxyHooks, startFtpProxy } from "../support/ftp_proxy.ts";
import { FTP_SERVER_KINDS, type FtpServerKind, hasFtpServer, startFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";

const BYTES = randomBytes(4_000_000);

for (const kind of FTP_SERVER_KINDS) {
  const test = (name: string, run: () => Promise<void>) =>
    testNeeding(kind, `${kind}: ${name}`, run, hasFtpServer(kind));

  test("a server that is killed in a download makes the device unavailable, and the download goes on after its restart", () =>
    withFtp(kind, async (bed) => {
      await bed.write("big.bin", BYTES);
      const { path, kind: _, ...expect } = await bed.driver.stat({ path: "big.bin" }, directCall());
      const spoolFile = `${bed.local}/big`;
      await Deno.writeFile(spoolFile, new Uint8Array());
      await rejectsWith(
        "unavailable",
        () => bed.driver.download({ path, spoolFile, offsetBytes: 0, expect }, directCall(killOnceAt(bed, 1_000_000))),
      );
      const held = await Deno.readFile(spoolFile);
      assert.ok(held.length >= 1_000_000);
      assert.deepEqual(held, BYTES.subarray(0, held.length));
      await rejectsWith("unavailable", () => bed.driver.stat({ path: "" }, directCall()));
      bed.server = await startFtpServer(kind, { root: bed.root, port: bed.server.port });
      const call = directCall();
      await bed.driver.download({ path, spoolFile, offsetBytes: held.length, expect }, call);
      assert.deepEqual(await Deno.readFile(spoolFile), BYTES);
      assert.ok(call.progressed[0]! >= held.length - 65_536);
    }, { bytesPerSecond: 4_000_000 }));

  test("a server that is killed in an upload leaves no half file, and the upload goes on after its restart", () =>
    withFtp(kind, async (bed) => {
      const params = await bed.uploadOf("dir/big.bin", BYTES);
      const temporary = await temporaryPath(params.path, params.sha256);
      await rejectsWith(
        "unavailable",
        () =>
          bed.driver.upload(
            params,
            directCall(killOnceAt(bed, 2_000_000, () => untilSize(`${bed.root}/${temporary}`, 500_000))),
          ),
      );
      const heldBytes = (await Deno.stat(`${bed.root}/${temporary}`)).size;
      assert.ok(heldBytes > 0 && heldBytes <= BYTES.length, String(heldBytes));
      await assert.rejects(Deno.stat(`${bed.root}/${params.path}`));
      bed.server = await startFtpServer(kind, { root: bed.root, port: bed.server.port });
      assert.equal(await bed.driver.confirm(params, directCall()), null);
      const call = directCall();
      await bed.driver.upload(params, call);
      assert.ok(call.progressed.every((doneBytes) => doneBytes >= heldBytes), `${heldBytes}: ${call.progressed[0]}`);
      assert.deepEqual(await bed.read(params.path), BYTES);
      assert.deepEqual([...Deno.readDirSync(`${bed.root}/dir`)].map(({ name }) => name), ["big.bin"]);
    }));

  test("what two tries that overlapped have left is gone once the upload is confirmed", () =>
    withFtp(kind, async (bed) => {
      const params = await bed.uploadOf("dir/log.ulg", BYTES.subarray(0, 3000));
      await bed.driver.upload(params, directCall());
      const temporary = await temporaryPath(params.path, params.sha256);
      await bed.write(temporary, BYTES.subarray(0, 1000));
      assert.equal((await bed.driver.confirm(params, directCall()))?.path, params.path);
      assert.deepEqual([...Deno.readDirSync(`${bed.root}/dir`)].map(({ name }) => name), ["log.ulg"]);
    }));

  test("a kept connection that the server closed costs the next call nothing", () =>
    withProxy(kind, {}, async (bed, proxy, { driver }) => {
      await driver.stat({ path: "" }, directCall());
      for (const cutAt of ["CWD", "MLST", "SIZE"]) {
        let isCut = false;
        proxy.hooks.onCommand = (line) => {
          if (isCut || !line.startsWith(cutAt)) return undefined;
          isCut = true;
          return "cut";
        };
        await driver.stat({ path: "" }, directCall());
        await rejectsWith("not_found", () => driver.stat({ path: "nothing" }, directCall()));
      }
      await bed.driver.stat({ path: "" }, directCall());
    }));

  for (const verb of ["STOR", "RNFR", "RNTO", "QUIT"]) {
    test(`an upload whose connection breaks at the reply to ${verb} is published once`, () =>
      withProxy(kind, {}, async (bed, proxy, { driver }) => {
        let isCut = false;
        proxy.hooks.onReply = (asked, reply) => {
          if (isCut || asked !== verb || reply.startsWith("1")) return reply;
          isCut = true;
          return "cut";
        };
        const params = await bed.uploadOf("a.bin", BYTES.subarray(0, 600_000), { onExisting: "rename" });
        const receipt = await driver.upload(params, directCall());
        assert.equal(receipt.path, "a.bin");
        assert.deepEqual(names(bed), ["a.bin"]);
        assert.deepEqual(await bed.read("a.bin"), BYTES.slice(0, 600_000));
      }));
  }

  test("a file that waits to be renamed never gets the name of the next one", () =>
    withProxy(kind, {}, async (bed, proxy, { driver }) => {
      // Something between refuses both without telling the server, which still knows what RNFR named.
      const due = ["RNTO", "RNFR"];
      proxy.hooks.onCommand = (line) => {
        if (due[0] === undefined || !line.startsWith(due[0])) return undefined;
        return due.shift() && "451 Local error in processing.";
      };
      const [first, second] = [await bed.uploadOf("a.bin", BYTES.subarray(0, 1)), await bed.uploadOf("b.bin", BYTES)];
      await rejectsWith("failed", () => driver.upload(first, directCall()));
      // proftpd takes nothing but RNTO then, so that the first one meets both, on a second connection.
      const trying = () => driver.upload(second, directCall());
      await (kind === "proftpd" ? trying() : rejectsWith("failed", trying));
      assert.deepEqual(due, []);
      const published = names(bed).filter((name) => !name.endsWith(".part"));
      assert.deepEqual(published, kind === "proftpd" ? ["b.bin"] : []);
      for (const params of [second, first]) assert.equal((await driver.upload(params, directCall())).path, params.path);
      assert.deepEqual(await bed.read("a.bin"), BYTES.slice(0, 1));
      assert.deepEqual(await bed.read("b.bin"), BYTES);
      assert.deepEqual(names(bed), ["a.bin", "b.bin"]);
    }));

  test("a download whose last reply is lost is whole", () =>
    withProxy(kind, {}, async (bed, proxy, { driver }) => {
      await bed.write("big.bin", BYTES);
      let isCut = false;
      proxy.hooks.onReply = (asked, reply) => {
        if (isCut || asked !== "RETR" || reply.startsWith("1")) return reply;
        isCut = true;
        return "cut";
      };
      const { path, kind: _, ...expect } = await driver.stat({ path: "big.bin" }, directCall());
      const spoolFile = `${bed.local}/big`;
      await Deno.writeFile(spoolFile, new Uint8Array());
      const result = await driver.download({ path, spoolFile, offsetBytes: 0, expect }, directCall());
      assert.equal(result.sizeBytes, BYTES.length);
      assert.deepEqual(await Deno.readFile(spoolFile), BYTES);
      assert.ok(isCut);
    }));
}

const odd = (name: string, run: () => Promise<void>) =>
  testNeeding("pyftpdlib", `a server that ${name}`, run, hasFtpServer("pyftpdlib"));

const refusing = (pattern: RegExp, reply = "502 Command not implemented.") => ({
  onCommand: (line: string) => pattern.test(line) ? reply : undefined,
});

odd(
  "has no EPSV is asked with PASV, once",
  () =>
    withProxy("pyftpdlib", refusing(/^EPSV/), async (_bed, proxy, { driver }) => {
      for (let n = 0; n < 3; n++) await driver.list({ directory: "" }, directCall());
      assert.equal(proxy.commands.filter((line) => line === "EPSV").length, 1);
      assert.equal(proxy.commands.filter((line) => line === "PASV").length, 3);
    }),
);

odd("names another machine in its PASV reply is connected to itself", () =>
  withProxy("pyftpdlib", {
    ...refusing(/^EPSV/),
    onReply: (verb, reply) => verb === "PASV" ? reply.replace(/127,0,0,1/, "192,0,2,77") : reply,
  }, async (bed, _proxy, { driver }) => {
    await bed.write("a", "abc");
    const call = directCall();
    await driver.list({ directory: "" }, call);
    assert.equal(call.listed.length, 1);
  }));

odd("answers EPSV with 227 is understood", () =>
  withProxy("pyftpdlib", {
    onReply: (verb, reply) => {
      if (verb !== "EPSV") return reply;
      const port = Number(/\|(\d+)\|\)/.exec(reply)![1]);
      return `227 Entering Passive Mode (10,0,0,1,${port >> 8},${port & 255}).`;
    },
  }, async (_bed, _proxy, { driver }) => {
    await driver.list({ directory: "" }, directCall());
  }));

odd(
  "names MLSD and does not know it is asked with LIST and MDTM",
  () =>
    withProxy("pyftpdlib", refusing(/^MLS[DT]/, "500 Unknown command."), async (bed, _proxy, { driver }) => {
      await bed.write("a b.ulg", "abc");
      await bed.write(".hidden", "abc");
      const call = directCall();
      await driver.list({ directory: "" }, call);
      assert.deepEqual(call.listed.map(({ path }) => path).sort(), [".hidden", "a b.ulg"]);
      assert.ok(call.listed.every(({ modifiedMs }) => modifiedMs !== undefined));
      const params = await bed.uploadOf("new.ulg", BYTES.subarray(0, 1000));
      assert.equal((await driver.upload(params, directCall())).path, "new.ulg");
    }),
);

odd(
  "refuses with 501 what is not there is believed that it is not there",
  () =>
    withProxy(
      "pyftpdlib",
      refusing(/^(MLS[DT]|SIZE|MDTM) .*gone/, "501 Syntax error in parameters or arguments."),
      async (bed, _proxy, { driver }) => {
        await bed.write("d/a.ulg", "abc");
        await rejectsWith("not_found", () => driver.stat({ path: "d/gone.ulg" }, directCall()));
        await rejectsWith("not_found", () => driver.stat({ path: "gone/a.ulg" }, directCall()));
        await rejectsWith("not_found", () => driver.list({ directory: "gone" }, directCall()));
        const spoolFile = `${bed.local}/part`;
        await Deno.writeFile(spoolFile, new Uint8Array());
        const params = { path: "gone/a.ulg", spoolFile, offsetBytes: 0, expect: { sizeBytes: 3, modifiedMs: 1 } };
        await rejectsWith("not_found", () => driver.download(params, directCall()));
        assert.equal((await driver.stat({ path: "d/a.ulg" }, directCall())).kind, "file");
      },
    ),
);

odd(
  "has no port for a command that comes together with EPSV is asked again later",
  () =>
    withProxy("pyftpdlib", {}, async (bed, proxy, { driver }) => {
      for (let n = 0; n < 3; n++) await bed.write(`${n}.ulg`, "abc");
      const fetchOne = async (path: string) => {
        const { path: _, kind: __, ...expect } = await driver.stat({ path }, directCall());
        const spoolFile = `${bed.local}/${path}.part`;
        await Deno.writeFile(spoolFile, new Uint8Array());
        await driver.download({ path, spoolFile, offsetBytes: 0, expect }, directCall());
      };
      await fetchOne("0.ulg");
      // The command that came with EPSV is refused then, too, and must not be taken for the reply to a later one.
      proxy.hooks.onCommand = (line) => line === "EPSV" ? "425 Cannot open a data connection." : undefined;
      await rejectsWith("unavailable", () => fetchOne("1.ulg"));
      delete proxy.hooks.onCommand;
      await fetchOne("1.ulg");
      await fetchOne("2.ulg");
      for (let n = 0; n < 3; n++) assert.equal(await Deno.readTextFile(`${bed.local}/${n}.ulg.part`), "abc");
    }),
);

odd(
  "takes -a for a name is asked without it",
  () =>
    withProxy("pyftpdlib", refusing(/^MLS[DT]|^LIST -a/, "550 No such file."), async (bed, _proxy, { driver }) => {
      await bed.write("a.ulg", "abc");
      for (let n = 0; n < 2; n++) {
        const call = directCall();
        await driver.list({ directory: "" }, call);
        assert.deepEqual(call.listed.map(({ path }) => path), ["a.ulg"]);
      }
    }, { without: ["MLSD", "MLST"] }),
);

odd("has neither MLST nor SIZE nor MDTM is understood by its listing", () =>
  withFtp("pyftpdlib", async (bed) => {
    await bed.write("d/a.ulg", "abc");
    const call = directCall();
    await bed.driver.list({ directory: "d" }, call);
    assert.deepEqual(call.listed, [{ path: "d/a.ulg", kind: "file", sizeBytes: 3 }]);
    assert.deepEqual(await bed.driver.stat({ path: "d/a.ulg" }, directCall()), call.listed[0]);
    assert.equal((await bed.driver.stat({ path: "d" }, directCall())).kind, "directory");
    await rejectsWith("not_found", () => bed.driver.stat({ path: "d/b" }, directCall()));
    const params = await bed.uploadOf("d/new.ulg", BYTES.subarray(0, 1000));
    await bed.driver.upload(params, directCall());
    assert.equal((await bed.driver.confirm(params, directCall()))?.path, "d/new.ulg");
  }, { without: ["MLSD", "MLST", "SIZE", "MDTM", "MFMT"] }));

odd(
  "refuses REST before STOR gets the rest by APPE, and one that refuses both gets the whole",
  () =>
    withFtp("pyftpdlib", async (bed) => {
      for (
        const [refuse, at] of [
          [/^$/, 500_000],
          [/^REST 500000/, 500_000],
          [/^(?:REST 500000|APPE)/, 0],
        ] as const
      ) {
        const proxy = startFtpProxy(bed.server.port, refusing(refuse, "501 Restart not permitted."));
        const opened = await bed.open({ port: proxy.port });
        const params = await bed.uploadOf(`from ${refuse.source.length}.bin`, BYTES.subarray(0, 900_000));
        await bed.write(await temporaryPath(params.path, params.sha256), BYTES.subarray(0, 500_000));
        const call = directCall();
        await opened.driver.upload(params, call);
        assert.deepEqual(await bed.read(params.path), BYTES.slice(0, 900_000));
        // How far the last attempt came, then where this one goes on.
        assert.deepEqual(call.progressed.slice(0, 2), [500_000, at]);
        await opened.close();
        await proxy.stop();
      }
    }),
);

odd(
  "has no REST gives the whole again",
  () =>
    withProxy("pyftpdlib", refusing(/^REST/), async (bed, _proxy, { driver }) => {
      await bed.write("a.bin", BYTES);
      const { path, kind: _, ...expect } = await driver.stat({ path: "a.bin" }, directCall());
      const spoolFile = `${bed.local}/a`;
      await Deno.writeFile(spoolFile, BYTES.subarray(0, 300_000));
      await driver.download({ path, spoolFile, offsetBytes: 300_000, expect }, directCall());
      assert.deepEqual(await Deno.readFile(spoolFile), BYTES);
    }),
);

odd("renames onto no existing name has the old file deleted first, only for replace", () => {
  let bed: FtpBed | undefined;
  return withProxy("pyftpdlib", {
    onCommand: (line) => line === "RNTO /a.bin" && names(bed!).includes("a.bin") ? "550 Target exists." : undefined,
  }, async (withBed, _proxy, { driver }) => {
    bed = withBed;
    await bed.write("a.bin", "other");
    const params = await bed.uploadOf("a.bin", BYTES.subarray(0, 1000), { onExisting: "replace" });
    assert.equal((await driver.upload(params, directCall())).path, "a.bin");
    assert.deepEqual(await bed.read("a.bin"), BYTES.slice(0, 1000));
    assert.deepEqual(names(bed), ["a.bin"]);
  });
});

odd(
  "has no room makes the upload no_space",
  () =>
    withProxy("pyftpdlib", refusing(/^STOR/, "452 No space left on device."), async (bed, _proxy, { driver }) => {
      const params = await bed.uploadOf("a.bin", BYTES.subarray(0, 1000));
      await rejectsWith("no_space", () => driver.upload(params, directCall()));
    }),
);

odd(
  "lists a file and refuses to give it makes that file denied",
  () =>
    withProxy("pyftpdlib", refusing(/^RETR/, "550 Permission denied."), async (bed, _proxy, { driver }) => {
      await bed.write("a.bin", "abc");
      const { path, kind: _, ...expect } = await driver.stat({ path: "a.bin" }, directCall());
      const spoolFile = `${bed.local}/a`;
      await Deno.writeFile(spoolFile, new Uint8Array());
      const error = await rejectsWith(
        "denied",
        () => driver.download({ path, spoolFile, offsetBytes: 0, expect }, directCall()),
      );
      assert.equal(error.details.scope, "file");
    }),
);

odd("floods, speaks no FTP or says nothing useful makes the device unavailable", async () => {
  for (const words of ["HTTP/1.1 400 Bad Request\r\n\r\n", "x".repeat(100_000), "220-\r\n".repeat(5000)]) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      const conn = await listener.accept();
      try {
        await conn.write(new TextEncoder().encode(words));
        while (await conn.read(new Uint8Array(1024)) !== null);
      } catch {
        // The driver hung up.
      }
      conn.close();
    })();
    await withFtp("pyftpdlib", async (bed) => {
      const opened = await bed.open({ port: listener.addr.port });
      await rejectsWith("unavailable", () => opened.driver.stat({ path: "" }, directCall()));
      await opened.close();
    });
    await serving;
    listener.close();
  }
});

for (const kind of FTP_SERVER_KINDS) {
  testNeeding(
    kind,
    `${kind}: the root stays the root after a folder was entered and a file was not found`,
    () =>
      withFtp(kind, async (bed) => {
        await bed.write("a/old.bin", BYTES);
        await Deno.chmod(`${bed.root}/a`, 0o777);
        await bed.own("a");
        await bed.driver.upload(await bed.uploadOf("a/new.bin", BYTES), directCall());
        assert.equal(await bed.driver.confirm(await bed.uploadOf("c/none.bin", BYTES), directCall()), null);
        await bed.driver.upload(await bed.uploadOf("b.bin", BYTES), directCall());
        assert.deepEqual(await bed.read("b.bin"), BYTES);
        assert.deepEqual([...Deno.readDirSync(`${bed.root}/a`)].map(({ name }) => name).sort(), ["new.bin", "old.bin"]);
        // One connection: the one that has entered the folder is the one that is asked.
      }, { args: { connections: 1 } }),
    hasFtpServer(kind),
  );
}

testNeeding("proftpd", "a server that hashes proves an upload by checksum", () =>
  withFtp("proftpd", async (bed) => {
    const params = await bed.uploadOf("a b.bin", BYTES);
    const receipt = await bed.driver.upload(params, directCall());
    assert.deepEqual(receipt, {
      path: "a b.bin",
      sizeBytes: BYTES.length,
      verified: "checksum",
      checksum: { algorithm: "sha256", value: params.sha256 },
    });
    assert.deepEqual(await bed.driver.confirm(params, directCall()), receipt);
    const wrong = await bed.uploadOf("wrong.bin", BYTES, { sha256: "0".repeat(64) });
    await rejectsWith("corrupt", () => bed.driver.upload(wrong, directCall()));
    assert.deepEqual(names(bed), ["a b.bin"]);
  }, { hashes: true }), hasFtpServer("proftpd"));

async function withProxy(
  kind: FtpServerKind,
  hooks: FtpProxyHooks,
  run: (bed: FtpBed, proxy: FtpProxy, opened: OpenDriver<FtpDriver>) => Promise<void>,
  options: FtpBedOptions = {},
): Promise<void> {
  await withFtp(kind, async (bed) => {
    const proxy = startFtpProxy(bed.server.port, hooks);
    const opened = await bed.open({ port: proxy.port });
    try {
      await run(bed, proxy, opened);
    } finally {
      await opened.close();
      await proxy.stop();
    }
  }, options);
}

/** Kills the server, once, when a transfer has come to `atBytes` and `ready` resolves. */
function killOnceAt(
  bed: FtpBed,
  atBytes: number,
  ready: () => Promise<void> = () => Promise.resolve(),
): (doneBytes: number) => Promise<void> | void {
  let isKilled = false;
  return (doneBytes) => {
    if (isKilled || doneBytes < atBytes) return;
    isKilled = true;
    return ready().then(() => bed.server.stop());
  };
}

/** What a server has taken from the socket it has still to write. */
async function untilSize(file: string, sizeBytes: number): Promise<void> {
  while ((await Deno.stat(file).catch(() => ({ size: 0 }))).size < sizeBytes) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
