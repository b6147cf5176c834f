-- The journey of files: what was found on a source, what lies in the spool, what each target has.
-- All times that a person reads are milliseconds since 1970 UTC (a Pi's clock may be wrong: nothing is decided by
-- them). Retry times are milliseconds of the running process's monotonic clock and are cleared at start.

-- One row per fact about the store itself: store_id, boot_id, resent_bytes, resent_upload_bytes, uptime_ms (the store's
-- own clock, which a wrong date moves by a day at most), uptime_counted_at, pause:<job> (why its downloads wait for the
-- spool, as JSON).
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A job is known by its name.
CREATE TABLE job (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- A target of a job. It gets the files that were found after it was added.
CREATE TABLE target (
  id            INTEGER PRIMARY KEY,
  job_id        INTEGER NOT NULL REFERENCES job (id),
  name          TEXT NOT NULL,
  first_file_id INTEGER NOT NULL,           -- files with a smaller id were found before this target was added
  retired       INTEGER NOT NULL DEFAULT 0, -- 1: no longer in the configuration
  UNIQUE (job_id, name)
) STRICT;

-- One device as the source of one job. A swapped card or autopilot is another source: same paths, other files.
CREATE TABLE source (
  id        INTEGER PRIMARY KEY,
  job_id    INTEGER NOT NULL REFERENCES job (id),
  device_id TEXT NOT NULL,                  -- the driver's word (volume UUID, autopilot UID), else the configured name
  listed_ms INTEGER,                        -- end of the last complete listing
  met       INTEGER NOT NULL DEFAULT 0,     -- 1: the first contact is over: max_first does not apply any more
  UNIQUE (job_id, device_id)
) STRICT;

-- What was last said of each configured device, for `status`.
CREATE TABLE device (
  id         INTEGER PRIMARY KEY,           -- also the name of its folder in the spool
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  available  INTEGER NOT NULL DEFAULT 1,
  held       INTEGER NOT NULL DEFAULT 0,
  code       TEXT,
  reason     TEXT,
  since_ms   INTEGER NOT NULL,
  UNIQUE (name, role)
) STRICT;

-- One generation of one file: job + device id + path + fingerprint.
CREATE TABLE file (
  id            INTEGER PRIMARY KEY,        -- also its name in the spool
  source_id     INTEGER NOT NULL REFERENCES source (id),
  job_id        INTEGER NOT NULL REFERENCES job (id),
  path          TEXT NOT NULL,
  generation    INTEGER NOT NULL,           -- 1 for the first content seen under this path
  latest        INTEGER NOT NULL,           -- 1 on the newest generation of the path
  size_bytes    INTEGER,                    -- the fingerprint, as far as known
  modified_ms   INTEGER,
  precision_ms  INTEGER NOT NULL,           -- precision of modified_ms when it was recorded
  etag          TEXT,
  checksum_algorithm TEXT,
  checksum_value     TEXT,
  state         TEXT NOT NULL CHECK (state IN ('found', 'downloading', 'spooled', 'done', 'parked', 'gone')),
  attempts      INTEGER NOT NULL DEFAULT 0, -- failures in a row without progress
  breaks        INTEGER NOT NULL DEFAULT 0, -- times that the plugin was killed from outside meanwhile, without progress
  best_bytes    INTEGER NOT NULL DEFAULT 0, -- furthest that a download came
  synced_bytes  INTEGER NOT NULL DEFAULT 0, -- length of the partial that was fsynced: what survives a power cut
  retry_at_ms   INTEGER NOT NULL DEFAULT 0, -- 0: may start now
  code          TEXT,                       -- the last error, in the driver's words
  reason        TEXT,
  hint          TEXT,
  device_dir    INTEGER,                    -- folder of the spool that holds it
  sha256        TEXT,                       -- of the spooled file, computed by the host
  spool_inode   INTEGER,                    -- identity of the spooled file when it was hashed
  spool_ctime_ms REAL,
  resent_bytes  INTEGER NOT NULL DEFAULT 0, -- bytes fetched more than once
  shelved       INTEGER NOT NULL DEFAULT 0, -- 1: left the spool for others; is fetched again when one of its targets is back
  source_copy   TEXT NOT NULL DEFAULT 'kept' CHECK (source_copy IN ('kept', 'due', 'removed', 'refused')),
  due_at_ms     INTEGER,                    -- when the source's copy may be removed, on the store's own clock (meta uptime_ms)
  removal       TEXT,                       -- why it was refused, or when it was removed
  found_ms      INTEGER NOT NULL,
  changed_ms    INTEGER NOT NULL            -- since when it is in this state
) STRICT;

CREATE UNIQUE INDEX file_path ON file (source_id, path, generation);
-- The downloader's queue in each order.
CREATE INDEX file_queue_time ON file (source_id, modified_ms, id) WHERE state = 'found' AND retry_at_ms = 0 AND shelved = 0;
CREATE INDEX file_queue_name ON file (source_id, path) WHERE state = 'found' AND retry_at_ms = 0 AND shelved = 0;
-- The remover's queue.
CREATE INDEX file_due ON file (source_id, due_at_ms) WHERE source_copy = 'due';
CREATE INDEX file_shelved ON file (id) WHERE shelved = 1;
CREATE INDEX file_retry ON file (retry_at_ms) WHERE retry_at_ms > 0;
-- Everything unfinished, small beside what is done.
CREATE INDEX file_open ON file (state, source_id) WHERE state IN ('found', 'downloading', 'spooled', 'parked');

-- One file for one target, made when the file is in the spool.
CREATE TABLE delivery (
  id            INTEGER PRIMARY KEY,
  file_id       INTEGER NOT NULL REFERENCES file (id),
  target_id     INTEGER NOT NULL REFERENCES target (id),
  state         TEXT NOT NULL CHECK (state IN ('waiting', 'uploading', 'delivered', 'parked', 'uncertain')),
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
  UNIQUE (file_id, target_id)
) STRICT;

CREATE INDEX delivery_queue ON delivery (target_id, id) WHERE state = 'waiting' AND retry_at_ms = 0;
CREATE INDEX delivery_retry ON delivery (retry_at_ms) WHERE retry_at_ms > 0;
CREATE INDEX delivery_open ON delivery (state, target_id) WHERE state <> 'delivered';

-- Counts by state, kept by the triggers below, so that `status` and exit codes never scan a million rows.
CREATE TABLE tally (
  job_id    INTEGER NOT NULL,
  target_id INTEGER NOT NULL,               -- 0: files; else deliveries of that target
  state     TEXT NOT NULL,
  count     INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  PRIMARY KEY (job_id, target_id, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER file_tally_insert AFTER INSERT ON file BEGIN
  INSERT INTO tally VALUES (NEW.job_id, 0, NEW.state, 1, coalesce(NEW.size_bytes, 0))
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER file_tally_delete AFTER DELETE ON file BEGIN
  UPDATE tally SET count = count - 1, bytes = bytes - coalesce(OLD.size_bytes, 0)
    WHERE job_id = OLD.job_id AND target_id = 0 AND state = OLD.state;
END;
CREATE TRIGGER file_tally_update AFTER UPDATE OF state, size_bytes ON file
  WHEN OLD.state <> NEW.state OR OLD.size_bytes IS NOT NEW.size_bytes BEGIN
  UPDATE tally SET count = count - 1, bytes = bytes - coalesce(OLD.size_bytes, 0)
    WHERE job_id = OLD.job_id AND target_id = 0 AND state = OLD.state;
  INSERT INTO tally VALUES (NEW.job_id, 0, NEW.state, 1, coalesce(NEW.size_bytes, 0))
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
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
