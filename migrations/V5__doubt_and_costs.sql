-- Items that were begun and not settled, and what the work cost.

ALTER TABLE batch ADD COLUMN in_doubt TEXT NOT NULL DEFAULT 'retry'; -- what becomes of an item that may have happened

ALTER TABLE item ADD COLUMN started INTEGER;       -- the number of the receipt that says it was begun, while it is open
ALTER TABLE item ADD COLUMN started_under INTEGER; -- the generation of the claim that began it
CREATE INDEX item_by_start ON item(batch, chunk) WHERE started IS NOT NULL;

ALTER TABLE receipt ADD COLUMN model TEXT;
ALTER TABLE receipt ADD COLUMN tokens_in INTEGER;
ALTER TABLE receipt ADD COLUMN tokens_out INTEGER;
ALTER TABLE receipt ADD COLUMN cost INTEGER;       -- in millionths

-- What receipts say of costs, summed up for a chunk's task and for its batch's.
CREATE TABLE spent (
  task       INTEGER NOT NULL REFERENCES task(n),
  kind       TEXT NOT NULL,                        -- all, worker, category, model
  name       TEXT NOT NULL,
  tokens_in  INTEGER NOT NULL,
  tokens_out INTEGER NOT NULL,
  cost       INTEGER NOT NULL,                     -- in millionths
  PRIMARY KEY (task, kind, name)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 5;
