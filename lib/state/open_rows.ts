/**
 * The conditions of the partial indexes `file_open` and `delivery_open`, word for word: SQLite uses such an index only
 * for a query that repeats its condition.
 */

/** Files that are on their way, or given up until told. */
export const OPEN_FILE = "state IN ('found', 'downloading', 'spooled', 'parked')";
/** Deliveries that are neither made nor given up by a person. */
export const OPEN_DELIVERY = "state NOT IN ('delivered', 'forgotten')";
