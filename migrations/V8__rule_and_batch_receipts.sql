-- By which rule a batch's chunks are independent, for items that come later; and a batch's receipts
-- in the order of their writing.

ALTER TABLE batch ADD COLUMN on_conflict TEXT;     -- none: the batch is older than this column
ALTER TABLE batch ADD COLUMN resources TEXT;       -- a JSON array of fields; none: the default one

-- Of a batch's task and its chunks. `changed` is the number of the change that the receipt came with;
-- receipts older than this table stand under their own number, which is lower than any that follows.
CREATE TABLE batch_receipt (
  batch   INTEGER NOT NULL REFERENCES batch(task),
  changed INTEGER NOT NULL,
  receipt INTEGER NOT NULL REFERENCES receipt(n),
  PRIMARY KEY (batch, changed)
) STRICT, WITHOUT ROWID;
INSERT INTO batch_receipt (batch, changed, receipt)
SELECT CASE t.role WHEN 'batch' THEN t.n ELSE t.parent END, r.n, r.n
  FROM receipt r JOIN task t ON t.n = r.task WHERE t.role IN ('batch', 'chunk');

-- Why a chunk was given back, a line an attempt, while it may be tried again.
ALTER TABLE chunk ADD COLUMN reasons TEXT NOT NULL DEFAULT '';

-- The change in which a task last came to another status or holder: a chunk that only got on is told by
-- its batch's counts.
ALTER TABLE task ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
UPDATE task SET moved = changed;

PRAGMA user_version = 8;
