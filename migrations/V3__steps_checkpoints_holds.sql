-- Steps and checkpoints of a batch, and what keeps a task from being claimed beside its dependencies.

-- Reasons to wait that are no dependency: a paused batch, a pause after a failed attempt, a batch
-- that has not ended. Each counts in `blockers` too, which is what the lanes go by.
ALTER TABLE task ADD COLUMN holds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN held_until INTEGER;              -- when one of them ends by itself
CREATE INDEX task_by_hold ON task(held_until) WHERE held_until IS NOT NULL;

ALTER TABLE batch ADD COLUMN steps TEXT;                     -- a JSON array; none: one step named 'work'
ALTER TABLE batch ADD COLUMN checkpoint TEXT NOT NULL DEFAULT 'none';
ALTER TABLE batch ADD COLUMN auto_approve INTEGER;           -- after so many approvals in a row
ALTER TABLE batch ADD COLUMN approved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN max_failures TEXT;
ALTER TABLE batch ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0; -- failed items when it was last resumed
ALTER TABLE batch ADD COLUMN paused TEXT;                    -- why, while it is
ALTER TABLE batch ADD COLUMN finish INTEGER REFERENCES task(n);

ALTER TABLE chunk ADD COLUMN step INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunk ADD COLUMN note TEXT NOT NULL DEFAULT '';  -- what a reviewer added to the instructions
ALTER TABLE chunk ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0; -- the generation of the last accepted completion

ALTER TABLE item ADD COLUMN step INTEGER NOT NULL DEFAULT 0; -- the step that its outcome is of

-- What items came to in steps before the one they are in.
CREATE TABLE earlier (
  chunk    INTEGER NOT NULL,
  position INTEGER NOT NULL,
  step     INTEGER NOT NULL,
  outcome  TEXT NOT NULL,
  category TEXT,
  receipt  INTEGER NOT NULL,
  PRIMARY KEY (chunk, position, step),
  FOREIGN KEY (chunk, position) REFERENCES item(chunk, position)
) STRICT, WITHOUT ROWID;

ALTER TABLE receipt ADD COLUMN step TEXT;

PRAGMA user_version = 3;
