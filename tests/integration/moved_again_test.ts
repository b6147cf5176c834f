/** `status` tells what interruptions have cost: its figure against that of the wire, which knows nothing of the program. */
import assert from "node:assert/strict";
import { Pipeline } from "../faults/pipeline.ts";
import { status } from "../faults/program.ts";
import { type FtpServerKind, hasFtpServer } from "../support/ftp_servers.ts";
import { testNeeding } from "../support/needs.ts";

const MIB = 1024 * 1024;
const SIZE_BYTES = 10 * MIB;
/** What may be under way, unknown to everybody, when all are killed. */
const IN_FLIGHT_BYTES = 256 * 1024;
const KILLS = 2;

interface Case {
  protocol: "local->ftp" | "ftp->local";
  kind: FtpServerKind;
  /** Commands that the server does not know. */
  without?: string[];
  words: string;
}

const CASES: Case[] = [
  { protocol: "local->ftp", kind: "pure-ftpd", words: "an upload that goes on" },
  { protocol: "local->ftp", kind: "pyftpdlib", without: ["REST", "APPE"], words: "an upload that must begin anew" },
  { protocol: "ftp->local", kind: "pure-ftpd", words: "a download that goes on" },
  { protocol: "ftp->local", kind: "pyftpdlib", without: ["REST"], words: "a download that must begin anew" },
];

for (const { protocol, kind, without, words } of CASES) {
  testNeeding(kind, `status counts what is moved again after kills of everything: ${words}`, async () => {
    const ftp = { kind, ...(without === undefined ? {} : { server: { without } }) };
    await using pipeline = await Pipeline.open({
      protocol,
      seed: 1,
      signal: new AbortController().signal,
      files: { "a.bin": SIZE_BYTES },
      source: { ftp },
      target: { ftp },
      job: { limits: { upload: "5MiB/s", download: "5MiB/s" } },
    });
    const end = protocol === "local->ftp" ? pipeline.target : pipeline.source;
    const moved = () => end.ftp!.wire.transfers.filter(({ verb }) => /STOR|APPE|RETR/.test(verb)).at(-1)?.bytes ?? 0;
    const transfers = () => end.ftp!.wire.transfers.filter(({ verb }) => /STOR|APPE|RETR/.test(verb)).length;
    for (let kill = 0; kill < KILLS; kill++) {
      const before = transfers();
      const program = pipeline.start();
      assert.ok(await pipeline.until(() => transfers() > before && moved() > 2 * MIB, 60_000), program.stderr);
      const { children } = program;
      await pipeline.kill();
      for (const pid of children) {
        try {
          Deno.kill(pid, "SIGKILL");
        } catch {
          // It died with its host.
        }
      }
    }
    pipeline.start();
    assert.ok(await pipeline.untilDelivered(), pipeline.program.stderr);
    const outcome = await pipeline.finish({ runs: KILLS, resentLimitBytes: null });
    assert.deepEqual([outcome.lost, outcome.corrupt, outcome.leftovers], [0, 0, 0]);
    const wire = pipeline.resent().allBytes;
    const told = await status(pipeline.config) as unknown as { resentBytes: number; resentUploadBytes: number };
    const [directed, other] = protocol === "local->ftp"
      ? [told.resentUploadBytes, told.resentBytes - told.resentUploadBytes]
      : [told.resentBytes - told.resentUploadBytes, told.resentUploadBytes];
    console.log(`wire ${wire}, told ${directed}, other direction ${other}`);
    assert.ok(Math.abs(wire - directed) <= KILLS * IN_FLIGHT_BYTES, `wire ${wire}, told ${directed}`);
    assert.equal(other, 0);
    if (without === undefined) assert.ok(wire <= KILLS * IN_FLIGHT_BYTES, `moved again: ${wire}`);
    else assert.ok(wire >= 2 * MIB, `the server was to make it begin anew: ${wire}`);
  }, hasFtpServer(kind));
}
