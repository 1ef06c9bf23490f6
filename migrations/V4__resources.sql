-- What chunks touch, and which of them must not be worked at once.

-- The resources of a batch's chunks, in sorted blocks: many to a row, for they are read in order
-- and only when another batch begins. An entry is a line: the resource's key, a tab, its chunks.
-- A key is a path's root ('.' or '/') and parts, each ended by U+0001.
CREATE TABLE touch (
  batch   INTEGER NOT NULL REFERENCES batch(task),
  layer   INTEGER NOT NULL,                  -- blocks of one layer do not overlap
  last    TEXT NOT NULL,                     -- the last key of the block
  entries TEXT NOT NULL,
  PRIMARY KEY (batch, layer, last)
) STRICT, WITHOUT ROWID;

-- Resources that several chunks touch. Two chunks with the same one are not worked at once,
-- unless both touch only what lies beneath it.
CREATE TABLE interlock (
  chunk   INTEGER NOT NULL REFERENCES chunk(task),
  key     TEXT NOT NULL,
  beneath INTEGER NOT NULL,
  project TEXT NOT NULL,                     -- '' for none: the same path of another project is another
  PRIMARY KEY (chunk, key, project)
) STRICT, WITHOUT ROWID;

-- Those of the chunks that are being worked on.
CREATE TABLE held (
  project TEXT NOT NULL,
  key     TEXT NOT NULL,
  chunk   INTEGER NOT NULL REFERENCES chunk(task),
  beneath INTEGER NOT NULL,
  PRIMARY KEY (project, key, chunk)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER held_while_worked AFTER UPDATE OF status ON task
WHEN NEW.role = 'chunk' AND NEW.status = 'in_progress' AND OLD.status <> 'in_progress'
BEGIN
  INSERT INTO held (project, key, chunk, beneath)
  SELECT project, key, chunk, beneath FROM interlock WHERE chunk = NEW.n;
END;
CREATE TRIGGER held_no_longer AFTER UPDATE OF status ON task
WHEN OLD.role = 'chunk' AND OLD.status = 'in_progress' AND NEW.status <> 'in_progress'
BEGIN
  DELETE FROM held WHERE (project, key, chunk) IN (SELECT project, key, chunk FROM interlock WHERE chunk = NEW.n);
END;

PRAGMA user_version = 4;
