-- A large batch is inserted in several transactions, so that no other writer waits for all of it. Its items are visible
-- after the last transaction, which inserts its tasks: every query reaches an item through its chunk's task.
--
-- The keys of items get a table of their own. As a unique constraint of `item`, each transaction would write most pages of
-- that index again, because keys come in any order (measured: six times the bytes). Now both tables are only appended to:
-- first the items in the order of the chunks, then the keys in the order of the keys. `item` is therefore rebuilt without
-- the constraint.

-- The rows of `task` that are reserved for a batch, or for chunks of one, while their items are being inserted.
CREATE TABLE unpublished (
  first_row INTEGER PRIMARY KEY,
  row_count INTEGER NOT NULL,
  batch     INTEGER NOT NULL,                -- the row of the items' batch; first_row for a new batch
  layer     INTEGER NOT NULL                 -- the layer of its resource blocks
) STRICT;

-- The chunks of that batch. The last transaction copies them into `task` and `chunk`.
CREATE TABLE unpublished_chunk (
  task        INTEGER PRIMARY KEY,           -- its reserved row
  number      INTEGER NOT NULL,
  id          TEXT NOT NULL,
  title       TEXT NOT NULL,
  span        TEXT NOT NULL,
  items_total INTEGER NOT NULL
) STRICT;

CREATE TABLE item_key (
  batch    INTEGER NOT NULL,
  key      TEXT NOT NULL,
  chunk    INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (batch, key)
) STRICT, WITHOUT ROWID;
INSERT INTO item_key (batch, key, chunk, position)
SELECT batch, key, chunk, position FROM item ORDER BY batch, key;

CREATE TABLE new_item (
  chunk              INTEGER NOT NULL REFERENCES chunk(task),
  position           INTEGER NOT NULL,
  batch              INTEGER NOT NULL REFERENCES batch(task),
  key                TEXT NOT NULL,
  fields             TEXT NOT NULL,          -- a JSON object
  outcome            TEXT,
  category           TEXT,
  receipt_number     INTEGER,                -- of the receipt that settled the item
  step_index         INTEGER NOT NULL DEFAULT 0,
  started_receipt    INTEGER,                -- number of the receipt that reported the start
  started_generation INTEGER,
  PRIMARY KEY (chunk, position)
) STRICT, WITHOUT ROWID;
INSERT INTO new_item (chunk, position, batch, key, fields, outcome, category, receipt_number, step_index, started_receipt,
                      started_generation)
SELECT chunk, position, batch, key, fields, outcome, category, receipt_number, step_index, started_receipt, started_generation
  FROM item ORDER BY chunk, position;

CREATE TABLE new_earlier_outcome (
  chunk          INTEGER NOT NULL,
  position       INTEGER NOT NULL,
  step_index     INTEGER NOT NULL,
  outcome        TEXT NOT NULL,
  category       TEXT,
  receipt_number INTEGER NOT NULL,
  PRIMARY KEY (chunk, position, step_index),
  FOREIGN KEY (chunk, position) REFERENCES new_item(chunk, position)
) STRICT, WITHOUT ROWID;
INSERT INTO new_earlier_outcome (chunk, position, step_index, outcome, category, receipt_number)
SELECT chunk, position, step_index, outcome, category, receipt_number FROM earlier_outcome ORDER BY chunk, position, step_index;

DROP TABLE earlier_outcome;
DROP TABLE item;
ALTER TABLE new_item RENAME TO item;
ALTER TABLE new_earlier_outcome RENAME TO earlier_outcome;
CREATE INDEX item_by_start ON item(batch, chunk) WHERE started_receipt IS NOT NULL;

-- The keys of items under reserved rows are inserted later, in the order of the keys.
CREATE TRIGGER item_key_after_insert AFTER INSERT ON item
WHEN NOT EXISTS (SELECT 1 FROM unpublished WHERE NEW.chunk >= first_row AND NEW.chunk < first_row + row_count)
BEGIN
  INSERT INTO item_key (batch, key, chunk, position) VALUES (NEW.batch, NEW.key, NEW.chunk, NEW.position);
END;
CREATE TRIGGER item_key_after_delete AFTER DELETE ON item
BEGIN
  DELETE FROM item_key WHERE batch = OLD.batch AND key = OLD.key AND chunk = OLD.chunk AND position = OLD.position;
END;

PRAGMA user_version = 10;
