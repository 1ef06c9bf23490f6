-- Runners that work batches in the background, and the profiles that they start workers by.

ALTER TABLE batch ADD COLUMN worker TEXT;          -- a profile's name; what it runs only the operator's configuration says

-- Who works a batch now, or did when it died. A lock file beside the store says which of the two.
CREATE TABLE runner (
  batch   INTEGER PRIMARY KEY REFERENCES batch(task),
  nonce   TEXT NOT NULL,                           -- in the environment of all that it starts
  profile TEXT NOT NULL,
  pid     INTEGER NOT NULL,
  host    TEXT NOT NULL,
  since   INTEGER NOT NULL,
  seen    INTEGER NOT NULL,                        -- its last sign of life
  held    INTEGER NOT NULL DEFAULT 0,              -- how many workers it may have at once now
  wants   INTEGER NOT NULL DEFAULT 0,              -- whether it waits for one more
  note    TEXT                                     -- what it waits for, if it does
) STRICT;

-- Profiles that start no workers until somebody lets them, and why.
CREATE TABLE paused_profile (
  name   TEXT PRIMARY KEY,
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- When workers were started by profiles that may start only so many a minute.
CREATE TABLE worker_start (
  profile TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT;
CREATE INDEX worker_start_by_profile ON worker_start(profile, at);

PRAGMA user_version = 7;
