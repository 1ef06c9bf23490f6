-- Hashes and sizes of what no receipt contains: the initial text of a task, the instructions and rules of a batch, the items of a
-- chunk. `tasktally verify` compares them with the rows, `tasktally heads` prints them. Rows of older schemas have none.

-- Of a task: its initial text. Of a batch: its instructions and rules as well. NULL for a chunk.
ALTER TABLE task ADD COLUMN content_hash BLOB CHECK (length(content_hash) = 32);
-- Of the items in the order of their positions: each item is hashed together with the hash before it.
ALTER TABLE chunk ADD COLUMN items_hash BLOB CHECK (length(items_hash) = 32);
ALTER TABLE unpublished_chunk ADD COLUMN items_hash BLOB CHECK (length(items_hash) = 32);

-- The bytes of keys and fields of a batch's items, for the quota of its project. 0 for batches of older schemas.
ALTER TABLE batch ADD COLUMN items_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE unpublished_chunk ADD COLUMN items_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX batch_by_size ON batch (task, items_bytes);

CREATE TRIGGER content_hash_never_changes BEFORE UPDATE OF content_hash ON task
WHEN OLD.content_hash IS NOT NULL AND NEW.content_hash IS NOT OLD.content_hash
BEGIN SELECT RAISE(ABORT, 'the hash of a task''s content never changes'); END;
CREATE TRIGGER batch_rules_never_change
BEFORE UPDATE OF instructions, key_field, split, steps, checkpoint, review, auto_approve_after, max_failures, in_doubt_policy,
                 on_conflict, resource_fields ON batch
BEGIN SELECT RAISE(ABORT, 'the instructions and rules of a batch never change'); END;
CREATE TRIGGER item_content_never_changes BEFORE UPDATE OF chunk, position, batch, key, fields ON item
BEGIN SELECT RAISE(ABORT, 'the key and the fields of an item never change'); END;

-- The change number at which a client's wait began: it ends when a chunk needs a person since then.
ALTER TABLE wait ADD COLUMN since_change INTEGER NOT NULL DEFAULT 0;

-- What a review decided, so that no text of a receipt can imitate a decision.
ALTER TABLE receipt ADD COLUMN decision TEXT CHECK (decision = 'approve' OR decision = 'reject' OR decision = 'redo');

-- SQLite fills a temporary B-tree with the values of an IN list of three or more, for each row that it inserts. It compares
-- an OR list without one. The checks mean the same as before, so no row has to be read.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'author_kind IN (''agent'', ''worker'', ''runner'', ''person'', ''system'')',
    'author_kind = ''agent'' OR author_kind = ''worker'' OR author_kind = ''runner'' OR author_kind = ''person'' OR author_kind = ''system''')
WHERE type = 'table' AND name = 'receipt';
UPDATE sqlite_schema SET sql = replace(sql,
    'role IN (''task'', ''batch'', ''chunk'')', 'role = ''task'' OR role = ''batch'' OR role = ''chunk''')
WHERE type = 'table' AND name = 'task';
PRAGMA writable_schema = RESET;

PRAGMA user_version = 15;
