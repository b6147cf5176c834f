/** Names of the configuration as rows: jobs, targets, sources, devices. Names are identity. */
import { OPEN_DELIVERY, OPEN_FILE } from "./open_rows.ts";
import type { Store } from "./store.ts";

/** A job's rows. */
export interface JobRow {
  id: number;
  name: string;
  targets: { id: number; name: string }[];
}

/** The rows of a job and its targets, made where they are new. A target that is not named any more is retired. */
export function registerJob(store: Store, name: string, targetNames: string[]): JobRow {
  return store.write(() => {
    store.run("INSERT INTO job (name) VALUES (?) ON CONFLICT DO NOTHING", name);
    const id = store.get<{ id: number }>("SELECT id FROM job WHERE name = ?", name)!.id;
    for (const target of targetNames) {
      store.run(
        `INSERT INTO target (job_id, name, first_file_id)
           VALUES (?, ?, (SELECT coalesce(max(id), 0) + 1 FROM file)) ON CONFLICT DO NOTHING`,
        id,
        target,
      );
    }
    store.run(
      `UPDATE target SET retired = name NOT IN (SELECT value FROM json_each(?)) WHERE job_id = ?`,
      JSON.stringify(targetNames),
      id,
    );
    // Where every older target is gone (a renamed one looks so), the new ones take over what is still on its way: a file
    // that was found is delivered.
    store.run(
      `UPDATE target SET first_file_id = min(first_file_id, coalesce((
           SELECT min(id) FROM file INDEXED BY file_open WHERE job_id = ?1 AND ${OPEN_FILE}), first_file_id))
         WHERE job_id = ?1 AND retired = 0 AND NOT EXISTS (
           SELECT 1 FROM target older WHERE older.job_id = ?1 AND older.retired = 0 AND older.first_file_id <= coalesce((
             SELECT min(id) FROM file INDEXED BY file_open WHERE job_id = ?1 AND ${OPEN_FILE}), 0))`,
      id,
    );
    store.run(
      `INSERT INTO delivery (file_id, target_id, state, size_bytes, changed_ms)
         SELECT f.id, t.id, 'waiting', f.size_bytes, ?2 FROM file f INDEXED BY file_open JOIN target t ON t.job_id = f.job_id
           WHERE f.job_id = ?1 AND f.state = 'spooled' AND f.${OPEN_FILE} AND t.retired = 0 AND t.first_file_id <= f.id
         ON CONFLICT DO NOTHING`,
      id,
      Date.now(),
    );
    // A target that comes back is not owed what left the spool while it was away: nobody could deliver that.
    store.run(
      `DELETE FROM delivery INDEXED BY delivery_open WHERE ${OPEN_DELIVERY}
         AND target_id IN (SELECT id FROM target WHERE job_id = ? AND retired = 0)
         AND (SELECT state FROM file WHERE id = delivery.file_id) = 'done'`,
      id,
    );
    const targets = store.all<{ id: number; name: string }>(
      "SELECT id, name FROM target WHERE job_id = ? AND retired = 0 ORDER BY id",
      id,
    );
    return { id, name, targets };
  });
}

/** The row of one device as the source of a job. */
export function registerSource(store: Store, jobId: number, deviceId: string): number {
  const known = store.get<{ id: number }>(
    "SELECT id FROM source WHERE job_id = ? AND device_id = ?",
    jobId,
    deviceId,
  );
  if (known !== undefined) return known.id;
  return store.write(() =>
    store.get<{ id: number }>(
      "INSERT INTO source (job_id, device_id, doubt) SELECT id, ?2, doubt FROM job WHERE id = ?1 RETURNING id",
      jobId,
      deviceId,
    )!.id
  );
}

/** The row of a configured device; its id names the device's folder in the spool. */
export function registerDevice(store: Store, name: string, role: "source" | "target"): number {
  return store.write(() => {
    store.run(
      `INSERT INTO device (name, role, since_ms) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET available = 1, held = 0, code = NULL, reason = NULL, since_ms = excluded.since_ms`,
      name,
      role,
      Date.now(),
    );
    return store.get<{ id: number }>("SELECT id FROM device WHERE name = ? AND role = ?", name, role)!.id;
  });
}

/** Records a transition of a device, for `status`. */
export function recordDevice(
  store: Store,
  id: number,
  state: { available: boolean; held: boolean; code?: string; reason?: string },
): void {
  store.write(() =>
    store.run(
      "UPDATE device SET available = ?, held = ?, code = ?, reason = ?, since_ms = ? WHERE id = ?",
      state.available ? 1 : 0,
      state.held ? 1 : 0,
      state.code ?? null,
      state.reason ?? null,
      Date.now(),
      id,
    )
  );
}
