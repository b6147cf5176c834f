-- A delivery can be given up by a person (`filesync forget`), and a receipt keeps the SHA-256 of what it is for: the
-- file's own may be of another fetch later. SQLite cannot change a CHECK, so the table is made anew.
CREATE TABLE delivery_new (
  id            INTEGER PRIMARY KEY,
  file_id       INTEGER NOT NULL REFERENCES file (id),
  target_id     INTEGER NOT NULL REFERENCES target (id),
  state         TEXT NOT NULL
    CHECK (state IN ('waiting', 'uploading', 'delivered', 'parked', 'uncertain', 'forgotten')),
  size_bytes    INTEGER NOT NULL,
  asked_path    TEXT,                       -- the name asked for, fixed at the first attempt
  started       INTEGER NOT NULL DEFAULT 0, -- 1: an upload was begun whose outcome is not known: ask before sending again
  attempts      INTEGER NOT NULL DEFAULT 0,
  breaks        INTEGER NOT NULL DEFAULT 0,
  best_bytes    INTEGER NOT NULL DEFAULT 0,
  retry_at_ms   INTEGER NOT NULL DEFAULT 0,
  resume        TEXT,                       -- the driver's opaque state, JSON
  code          TEXT,
  reason        TEXT,
  hint          TEXT,
  receipt_path  TEXT,
  receipt_url   TEXT,
  receipt_checksum TEXT,                    -- algorithm:value
  verified      TEXT,
  resent_bytes  INTEGER NOT NULL DEFAULT 0,
  changed_ms    INTEGER NOT NULL,
  receipt_sha256 TEXT,                      -- of the file that was delivered
  receipt_no    INTEGER,                    -- receipts in the order they came: of two with one name the higher is there
  UNIQUE (file_id, target_id)
) STRICT;

INSERT INTO delivery_new
  SELECT d.id, d.file_id, d.target_id, d.state, d.size_bytes, d.asked_path, d.started, d.attempts, d.breaks, d.best_bytes,
    d.retry_at_ms, d.resume, d.code, d.reason, d.hint, d.receipt_path, d.receipt_url, d.receipt_checksum, d.verified,
    d.resent_bytes, d.changed_ms,
    CASE d.state WHEN 'delivered' THEN f.sha256 END, CASE d.state WHEN 'delivered' THEN d.id END
  FROM delivery d JOIN file f ON f.id = d.file_id;
DROP TABLE delivery;
ALTER TABLE delivery_new RENAME TO delivery;
-- How many receipts there were.
INSERT INTO meta SELECT 'receipts', coalesce(max(id), 0) FROM delivery;

CREATE INDEX delivery_queue ON delivery (target_id, id) WHERE state = 'waiting' AND retry_at_ms = 0;
CREATE INDEX delivery_retry ON delivery (retry_at_ms) WHERE retry_at_ms > 0;
CREATE INDEX delivery_open ON delivery (state, target_id) WHERE state NOT IN ('delivered', 'forgotten');

CREATE TRIGGER delivery_tally_insert AFTER INSERT ON delivery BEGIN
  INSERT INTO tally VALUES ((SELECT job_id FROM target WHERE id = NEW.target_id), NEW.target_id, NEW.state, 1, NEW.size_bytes)
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER delivery_tally_delete AFTER DELETE ON delivery BEGIN
  UPDATE tally SET count = count - 1, bytes = bytes - OLD.size_bytes
    WHERE target_id = OLD.target_id AND state = OLD.state
      AND job_id = (SELECT job_id FROM target WHERE id = OLD.target_id);
END;
CREATE TRIGGER delivery_tally_update AFTER UPDATE OF state ON delivery WHEN OLD.state <> NEW.state BEGIN
  UPDATE tally SET count = count - 1, bytes = bytes - OLD.size_bytes
    WHERE target_id = OLD.target_id AND state = OLD.state
      AND job_id = (SELECT job_id FROM target WHERE id = OLD.target_id);
  INSERT INTO tally VALUES ((SELECT job_id FROM target WHERE id = NEW.target_id), NEW.target_id, NEW.state, 1, NEW.size_bytes)
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
