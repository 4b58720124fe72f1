-- One row for each run folder.
CREATE TABLE runs (
  path TEXT PRIMARY KEY,            -- name/run, below the store
  name TEXT NOT NULL,
  run TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('finished', 'unfinished', 'unreadable')),
  complaint TEXT,                   -- why it is unreadable
  system TEXT,
  workload TEXT,
  nodes INTEGER,
  network TEXT,
  seed TEXT,                        -- 64 bits without a sign: more than an integer of SQLite holds
  verdict TEXT,                     -- valid, vacuous, unknown, harness, invalid
  reason TEXT,                      -- the sentence that says why
  anomaly TEXT,                     -- of an invalid run, by its proper name
  oracle TEXT,                      -- the checkers as bad as the run, comma-separated, unless it is valid
  recipe TEXT,                      -- the line that repeats it, without what equal runs differ in: seed, store, name
  faults TEXT,                      -- kinds, sorted, comma-separated; '' for none
  started_at TEXT,                  -- UTC, RFC 3339
  started_s INTEGER,                -- the same, seconds since 1970
  seconds REAL,                     -- the whole run
  throughput REAL,                  -- successes per second while the clients worked
  operations_ok INTEGER,
  recovery_p50_ms REAL,             -- over the outages of all faults; null where there were none
  recovery_p99_ms REAL,
  recovery_max_ms REAL,
  latency_p99_ms REAL,              -- of the slowest kind of operation
  commit_id TEXT,                   -- label `commit`: of the system under test
  campaign TEXT,                    -- label `campaign`
  overloaded INTEGER NOT NULL DEFAULT 0,  -- 1: the machine was, and figures tell about the machine
  results_mtime_ns INTEGER,         -- of results.json when this row was written
  results_size INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_start ON runs (started_s DESC, path DESC);
CREATE INDEX runs_by_commit ON runs (commit_id, started_s);
CREATE INDEX runs_by_name ON runs (name, run);
-- All that filters ask for: what is counted is read from here, and not from rows ten times as wide.
CREATE INDEX runs_by_kind ON runs (system, workload, faults, state, verdict, commit_id, campaign, name, started_at, started_s);

-- One row for each kind of fault of a run.
CREATE TABLE faults (
  path TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  kind TEXT NOT NULL,
  planned INTEGER NOT NULL,
  applied INTEGER NOT NULL,
  proven INTEGER NOT NULL,
  outage_count INTEGER NOT NULL,    -- outages that were measured
  outage_p50_ms REAL,
  outage_p99_ms REAL,
  outage_max_ms REAL,
  PRIMARY KEY (path, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX faults_by_kind ON faults (kind, path);

-- One row for each kind of operation of a run that ever succeeded.
CREATE TABLE latency (
  path TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  f TEXT NOT NULL,                  -- read, write, cas, …
  p50_ms REAL NOT NULL,
  p99_ms REAL NOT NULL,
  p999_ms REAL NOT NULL,
  max_ms REAL NOT NULL,
  PRIMARY KEY (path, f)
) STRICT, WITHOUT ROWID;

-- What whoever asked for a run said of it, commit and campaign included.
CREATE TABLE labels (
  path TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (path, name)
) STRICT, WITHOUT ROWID;
