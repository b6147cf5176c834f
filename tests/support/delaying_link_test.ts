import assert from "node:assert/strict";
import { hasDelayingLink, startDelayingLink } from "./delaying_link.ts";
import { FTP_SERVER_KINDS, hasFtpServer, startFtpServer } from "./ftp_servers.ts";
import { hasCommand, testNeeding } from "./needs.ts";

const NEEDS = "a TUN interface, ip and root";
const ROUND_TRIP_MS = 60;
const PATIENT_BYTES = 4 * 1024 * 1024;

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; tookMs: number }> {
  const startMs = performance.now();
  return { result: await work(), tookMs: performance.now() - startMs };
}

for (const lossPercent of [0, 2]) {
  testNeeding(
    NEEDS,
    `startDelayingLink() delays what it carries whole, ${lossPercent} % lost`,
    async () => {
      const link = await startDelayingLink({ roundTripMs: ROUND_TRIP_MS, lossPercent });
      const listener = Deno.listen({ hostname: link.near, port: 0 });
      try {
        const sent = new Uint8Array(PATIENT_BYTES);
        for (let at = 0; at < sent.length; at += 65_536) crypto.getRandomValues(sent.subarray(at, at + 65_536));
        const serving = (async () => {
          using conn = await listener.accept();
          for (let at = 0; at < sent.length;) at += await conn.write(sent.subarray(at));
        })();
        const port = listener.addr.port;
        const { result: conn, tookMs } = await timed(() => Deno.connect({ hostname: link.far, port }));
        // The packet and its answer: never faster, however busy the machine is.
        assert.ok(tookMs >= ROUND_TRIP_MS, `connected in ${tookMs} ms`);
        const got = new Uint8Array(await new Response(conn.readable).arrayBuffer());
        await serving;
        assert.ok(got.length === sent.length && got.every((byte, index) => byte === sent[index]));
      } finally {
        listener.close();
        await link.stop();
      }
    },
    hasDelayingLink(),
  );
}

for (const kind of FTP_SERVER_KINDS) {
  testNeeding(
    `${kind}, curl, ${NEEDS}`,
    `${kind}: data connections go over the link too`,
    async () => {
      const link = await startDelayingLink({ roundTripMs: ROUND_TRIP_MS });
      const root = await Deno.makeTempDir({ prefix: "filesync-link-" });
      await Deno.chmod(root, 0o755);
      await Deno.writeTextFile(`${root}/a.txt`, "hello");
      const server = await startFtpServer(kind, { root, link });
      try {
        for (const way of ["--ftp-pasv", "--disable-epsv"]) {
          const login = `${server.user}:${server.passwd}`;
          const url = `ftp://${server.host}:${server.port}/a.txt`;
          const told = "\n%{json}";
          // With --disable-epsv it goes where the server says, as clients do that believe it.
          const args = ["-sS", way, "--no-ftp-skip-pasv-ip", "-u", login, "-w", told, "-v", url];
          const { stdout, stderr, code } = await new Deno.Command("curl", { args }).output();
          const words = new TextDecoder().decode(stderr);
          assert.equal(code, 0, words);
          assert.ok(new TextDecoder().decode(stdout).startsWith("hello\n"));
          const connected = [...words.matchAll(/Connect(?:ing|ed) to .*?(198\.18\.\d+\.\d+)/g)].map(([, at]) => at);
          assert.ok(connected.length >= 2, words);
          assert.deepEqual([...new Set(connected)], [link.far], words);
        }
      } finally {
        await server.stop();
        await link.stop();
        await Deno.remove(root, { recursive: true });
      }
    },
    hasDelayingLink() && hasFtpServer(kind) && hasCommand("curl"),
  );
}
