-- Which machine and process holds a lease, for messages. `place` names the machine since its start, and the data folder: a
-- process that holds the lock file there may take the lease over from the process that held the file before.
ALTER TABLE lease
  ADD COLUMN host  text NOT NULL DEFAULT '',
  ADD COLUMN pid   bigint NOT NULL DEFAULT 0,
  ADD COLUMN place text COLLATE "C" NOT NULL DEFAULT '';

-- On which machine the log of an attempt is. `chunk` is the row of a task, without a reference: the log may outlive it.
CREATE TABLE attempt_host (
  chunk   bigint NOT NULL,
  attempt bigint NOT NULL,
  host    text NOT NULL,
  PRIMARY KEY (chunk, attempt)
);

UPDATE schema_version SET version = 3;
