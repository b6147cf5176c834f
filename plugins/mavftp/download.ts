/** SOURCE to spool: what the contract asks for, around one transfer. */
import {
  type Call,
  type DownloadParams,
  type DownloadResult,
  DriverError,
  type Fingerprint,
  fingerprintOf,
  sameFingerprint,
} from "../../lib/driver/mod.ts";
import type { Connection, ConnectionContext } from "./connection.ts";
import { findEntry, newest, PRECISION_MS } from "./entries.ts";
import { SpoolQueue } from "./spool_queue.ts";
import { Stash } from "./stash.ts";
import { OVERLAP_BYTES, transfer } from "./transfer.ts";

/** Downloads one log; see the contract. */
export async function download(
  connection: Connection,
  context: ConnectionContext,
  params: DownloadParams,
  call: Call,
): Promise<DownloadResult> {
  const { path, spoolFile, offsetBytes, expect } = params;
  const { signal } = call;
  const { device, config, journal, params: { stateDir } } = context;
  const before = await look(connection, path, expect, call);
  if (await connection.mayBeLogging(signal) && (await newest(connection, call)).has(path)) {
    throw new DriverError("changed", `Log "${path}" is being written`);
  }
  const remote = await connection.remotePath(path, signal);
  let poke: () => void = () => {};
  const landing = new SpoolQueue({ spoolFile, offsetBytes, overlapBytes: OVERLAP_BYTES, onReady: () => poke() });
  try {
    const identity = JSON.stringify([
      journal.uid ?? config.url.text,
      path,
      before.sizeBytes,
      before.modifiedMs ?? null,
    ]);
    const result = await transfer({
      station: connection.station,
      session: connection.session,
      experience: connection.experience,
      path: remote,
      sizeBytes: before.sizeBytes,
      landing,
      ahead: await Stash.open(stateDir, identity),
      takeover: config.takeover,
      signal,
      throttle: (bytes) => call.throttle(bytes),
      rateMax: params.maxBytesPerSecond,
      linkRate: config.rate,
      onLandingReady: (listener) => poke = listener,
      progress: (doneBytes, waitMs) => call.progress(doneBytes, waitMs === undefined ? {} : { waitMs }),
      log: (level, message) => device.log(level, `"${path}": ${message}`),
      random: Math.random,
    });
    const { structure, proof, counters, stolenBytes, sizeBytes } = result;
    device.log(
      "debug",
      `"${path}": ${sizeBytes} bytes, proven by ${proof}, ${counters.bursts} bursts, ${counters.reads} reads, ` +
        `${counters.doubledBytes} bytes twice, ${stolenBytes} bytes of another file`,
    );
    const after = before.modifiedMs === undefined ? before : await look(connection, path, expect, call);
    if (!sameFingerprint(before, after, PRECISION_MS)) throw changed(path);
    if (structure?.problem === undefined) return { sizeBytes, fingerprint: after };
    const note = `No whole ${structure.format} log on the autopilot: ${structure.problem}; delivered as it is`;
    return { sizeBytes, fingerprint: after, note };
  } finally {
    await landing.close();
  }
}

/** What the autopilot says of the file now. @throws {DriverError} `not_found`, `changed` */
async function look(connection: Connection, path: string, expect: Fingerprint, call: Call): Promise<Fingerprint> {
  const entry = await findEntry(connection, path, call);
  if (entry === undefined) throw new DriverError("not_found", `Autopilot has no "${path}"`);
  if (entry.kind === "directory") throw new DriverError("failed", `Path "${path}" is a directory: expected a file`);
  const fingerprint = fingerprintOf(entry);
  if (!sameFingerprint(fingerprint, expect, PRECISION_MS)) throw changed(path);
  return fingerprint;
}

function changed(path: string): DriverError {
  return new DriverError("changed", `Log "${path}" changed on the autopilot`);
}
