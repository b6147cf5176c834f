-- A store that was made anew, because the old one was damaged, does not know what was delivered before. What the first
-- listing of a source finds then may be on the targets already: they are asked before anything is sent.
ALTER TABLE job ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0;    -- 1: was configured when the store was rebuilt
ALTER TABLE source ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0; -- 1: its first listing since then is not over
ALTER TABLE file ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0;   -- 1: its deliveries begin with the question "did it land?"

-- Receipts that could be read in the damaged store. One counts when the same bytes are fetched again: nothing that was
-- read there is believed without that proof.
CREATE TABLE salvaged (
  job              TEXT NOT NULL,
  target           TEXT NOT NULL,
  path             TEXT NOT NULL,
  sha256           TEXT NOT NULL,
  size_bytes       INTEGER NOT NULL,
  receipt_path     TEXT NOT NULL,
  receipt_url      TEXT,
  receipt_checksum TEXT,
  verified         TEXT NOT NULL,
  PRIMARY KEY (job, target, path, sha256)
) STRICT, WITHOUT ROWID;

-- Tells a state store from another program's database: "FSyn".
PRAGMA application_id = 1179875694;
