/** What a rebuilt store does not know: whether a file that it finds was delivered before. */
import type { Receipt } from "../driver/mod.ts";
import type { QueuedDelivery } from "./deliveries.ts";
import type { Store } from "./store.ts";

/** Whether what the listing of a source finds now may have been delivered before the store was rebuilt. */
export function isInDoubt(store: Store, sourceId: number): boolean {
  return store.get<{ doubt: number }>("SELECT doubt FROM source WHERE id = ?", sourceId)?.doubt === 1;
}

/** All that was there when the store was rebuilt has been found. Call inside `write`. */
export function endDoubt(store: Store, sourceId: number): void {
  store.run("UPDATE source SET doubt = 0 WHERE id = ? AND doubt = 1", sourceId);
}

/** The deliveries of a file in doubt begin with the question whether they landed. Call inside `write`. */
export function askFirst(store: Store, fileId: number): void {
  store.run("UPDATE delivery SET started = 1 WHERE file_id = ? AND state = 'waiting'", fileId);
}

/**
 * The receipt of the damaged store for these very bytes, when it could be read there: that they were fetched again with
 * the same SHA-256 proves it.
 */
export function salvagedReceipt(
  store: Store,
  delivery: QueuedDelivery,
  names: { job: string; target: string },
): Receipt | undefined {
  const row = store.get<{
    receipt_path: string;
    receipt_url: string | null;
    receipt_checksum: string | null;
    verified: string;
  }>(
    `SELECT receipt_path, receipt_url, receipt_checksum, verified FROM salvaged
       WHERE job = ? AND target = ? AND path = ? AND sha256 = ? AND size_bytes = ?`,
    names.job,
    names.target,
    delivery.path,
    delivery.sha256,
    delivery.sizeBytes,
  );
  if (row === undefined) return undefined;
  const [algorithm = "", value = ""] = row.receipt_checksum?.split(":") ?? [];
  return {
    path: row.receipt_path,
    sizeBytes: delivery.sizeBytes,
    verified: row.verified as Receipt["verified"],
    ...(row.receipt_url === null ? {} : { url: row.receipt_url }),
    ...(value === "" ? {} : { checksum: { algorithm, value } as NonNullable<Receipt["checksum"]> }),
  };
}
