-- Tasks, their receipts and claims, batches with chunks and items.
-- Landed migrations are never edited: what comes later is a new file.

CREATE TABLE task (
  n           INTEGER PRIMARY KEY,           -- the order of creation
  id          TEXT NOT NULL UNIQUE,
  title       TEXT NOT NULL,
  type        TEXT NOT NULL,
  status      TEXT NOT NULL,
  priority    INTEGER NOT NULL,
  position    INTEGER NOT NULL,              -- `order` on the wire
  project     TEXT,
  parent      INTEGER REFERENCES task(n),
  assignee    TEXT,
  due         INTEGER,
  tags        TEXT NOT NULL,                 -- a JSON array
  effort      TEXT,
  context     TEXT,
  complexity  TEXT,
  role        TEXT NOT NULL CHECK (role IN ('task', 'batch', 'chunk')),
  opening     TEXT NOT NULL,                 -- the body before its first receipt
  boxes       INTEGER NOT NULL,              -- whether the body ever held '- [ ]'
  receipts    INTEGER NOT NULL DEFAULT 0,    -- kept by the receipt's triggers
  blockers    INTEGER NOT NULL DEFAULT 0,    -- dependencies that are not done
  created     INTEGER NOT NULL,              -- milliseconds since 1970, UTC; so are all times
  updated     INTEGER NOT NULL,
  changed     INTEGER NOT NULL,              -- this row's latest number in the one sequence of changes
  generation  INTEGER NOT NULL DEFAULT 0,    -- grows with every claim
  worker      TEXT,                          -- the latest claim, live or not
  token       TEXT,
  since       INTEGER,
  expires     INTEGER,
  lease       INTEGER,                       -- seconds
  -- What a list or a claim looks for: an active task that waits for others is 'held'.
  lane        TEXT GENERATED ALWAYS AS (CASE WHEN status = 'active' AND blockers > 0 THEN 'held' ELSE status END) VIRTUAL
) STRICT;

CREATE INDEX task_by_lane     ON task(lane, priority, position, n);
CREATE INDEX task_by_project  ON task(project, lane, priority, position, n) WHERE project IS NOT NULL;
CREATE INDEX task_by_parent   ON task(parent, lane, priority, position, n) WHERE parent IS NOT NULL;
CREATE INDEX task_by_assignee ON task(assignee, lane, priority, position, n) WHERE assignee IS NOT NULL;
CREATE INDEX task_by_change   ON task(changed);
CREATE INDEX task_by_lease    ON task(expires) WHERE status = 'in_progress';

-- A task is never removed, nor replaced, nor told to be another.
CREATE TRIGGER task_stays BEFORE DELETE ON task
BEGIN SELECT RAISE(ABORT, 'a task is never deleted'); END;
CREATE TRIGGER task_is_not_replaced BEFORE INSERT ON task
WHEN EXISTS (SELECT 1 FROM task WHERE n = NEW.n OR id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a task is never replaced'); END;
CREATE TRIGGER task_keeps_its_body BEFORE UPDATE OF n, id, opening, created ON task
WHEN NEW.n <> OLD.n OR NEW.id <> OLD.id OR NEW.opening <> OLD.opening OR NEW.created <> OLD.created
BEGIN SELECT RAISE(ABORT, 'a task keeps its id, opening text and creation'); END;
CREATE TRIGGER task_counts_receipts BEFORE UPDATE OF receipts ON task
WHEN NEW.receipts <> OLD.receipts
 AND NEW.receipts IS NOT (SELECT max(number) FROM receipt WHERE task = NEW.n)
BEGIN SELECT RAISE(ABORT, 'a task counts its receipts'); END;

-- How many tasks there are of each sort, so that a list's total is read, not counted.
CREATE TABLE tally (
  project  TEXT NOT NULL,                    -- '' for none
  lane     TEXT NOT NULL,
  type     TEXT NOT NULL,
  priority INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  PRIMARY KEY (project, lane, type, priority)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tally_new AFTER INSERT ON task
BEGIN
  INSERT INTO tally VALUES (ifnull(NEW.project, ''), NEW.lane, NEW.type, NEW.priority, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER tally_moved AFTER UPDATE OF project, status, blockers, type, priority ON task
WHEN NEW.project IS NOT OLD.project OR NEW.lane <> OLD.lane OR NEW.type <> OLD.type OR NEW.priority <> OLD.priority
BEGIN
  UPDATE tally SET count = count - 1
   WHERE project = ifnull(OLD.project, '') AND lane = OLD.lane AND type = OLD.type AND priority = OLD.priority;
  INSERT INTO tally VALUES (ifnull(NEW.project, ''), NEW.lane, NEW.type, NEW.priority, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TABLE dependency (
  task     INTEGER NOT NULL REFERENCES task(n),
  needs    INTEGER NOT NULL REFERENCES task(n),
  soft     INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (task, soft, needs)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependency_by_needs ON dependency(needs, soft, task);

CREATE TABLE receipt (
  n        INTEGER PRIMARY KEY,              -- the order of writing, over all tasks
  task     INTEGER NOT NULL REFERENCES task(n) ON DELETE RESTRICT,
  number   INTEGER NOT NULL,                 -- from 1, without gaps, per task
  at       INTEGER NOT NULL,
  author   TEXT NOT NULL,
  text     TEXT NOT NULL,
  item     TEXT,
  outcome  TEXT,
  category TEXT,
  late     INTEGER NOT NULL,                 -- it came with a lost token: kept, never counted
  hash     BLOB NOT NULL CHECK (length(hash) = 32), -- over this receipt and the hash before it
  UNIQUE (task, number)
) STRICT;

CREATE TRIGGER receipt_stays_as_written BEFORE UPDATE ON receipt
BEGIN SELECT RAISE(ABORT, 'a receipt is never changed'); END;
CREATE TRIGGER receipt_stays BEFORE DELETE ON receipt
BEGIN SELECT RAISE(ABORT, 'a receipt is never deleted'); END;
-- REPLACE deletes without the trigger above; the numbers don't let it come so far.
CREATE TRIGGER receipt_is_next BEFORE INSERT ON receipt
WHEN NEW.number IS NOT (SELECT receipts + 1 FROM task WHERE n = NEW.task)
  OR EXISTS (SELECT 1 FROM receipt WHERE n = NEW.n)
BEGIN SELECT RAISE(ABORT, 'receipts are numbered without gaps'); END;
CREATE TRIGGER receipt_counts AFTER INSERT ON receipt
BEGIN UPDATE task SET receipts = NEW.number WHERE n = NEW.task; END;

CREATE TABLE batch (
  task         INTEGER PRIMARY KEY REFERENCES task(n),
  instructions TEXT NOT NULL,
  key          TEXT NOT NULL,
  split        TEXT NOT NULL,
  max_chunk    INTEGER NOT NULL,
  max_parallel INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  command      TEXT,                         -- a JSON array; only `docket run` writes it
  chunks       INTEGER NOT NULL,
  ended        INTEGER NOT NULL DEFAULT 0,
  unsuccessful INTEGER NOT NULL DEFAULT 0,
  total        INTEGER NOT NULL,
  done         INTEGER NOT NULL DEFAULT 0,
  failed       INTEGER NOT NULL DEFAULT 0,
  skipped      INTEGER NOT NULL DEFAULT 0,
  started      INTEGER
) STRICT;

CREATE TABLE chunk (
  task     INTEGER PRIMARY KEY REFERENCES task(n),
  batch    INTEGER NOT NULL REFERENCES batch(task),
  number   INTEGER NOT NULL,
  span     TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  total    INTEGER NOT NULL,
  done     INTEGER NOT NULL DEFAULT 0,
  failed   INTEGER NOT NULL DEFAULT 0,
  skipped  INTEGER NOT NULL DEFAULT 0,
  UNIQUE (batch, number)
) STRICT;

CREATE TABLE item (
  chunk    INTEGER NOT NULL REFERENCES chunk(task),
  position INTEGER NOT NULL,
  batch    INTEGER NOT NULL REFERENCES batch(task),
  key      TEXT NOT NULL,
  fields   TEXT NOT NULL,                    -- a JSON object
  outcome  TEXT,
  category TEXT,
  receipt  INTEGER,                          -- the number of the receipt that settled it
  PRIMARY KEY (chunk, position),
  UNIQUE (batch, key)
) STRICT, WITHOUT ROWID;

-- Items by category, for a chunk's task and for its batch's.
CREATE TABLE category (
  task  INTEGER NOT NULL REFERENCES task(n),
  name  TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;

-- What a request with a key was answered, so that its repetition is answered the same.
CREATE TABLE request (
  key         TEXT PRIMARY KEY,
  operation   TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  reply       TEXT NOT NULL,
  at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Full text; a receipt is indexed some time after it is written (`indexed.receipt` tells how far).
CREATE VIRTUAL TABLE task_text USING fts5(title, opening, content='', contentless_delete=1);
CREATE VIRTUAL TABLE receipt_text USING fts5(text, content='', contentless_delete=1);
CREATE TABLE indexed (receipt INTEGER NOT NULL) STRICT;
INSERT INTO indexed VALUES (0);

PRAGMA application_id = 0x446F636B;          -- "Dock"
PRAGMA user_version = 1;
