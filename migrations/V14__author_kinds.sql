-- What wrote a receipt: the server sets it, and the receipt's hash contains it. Receipts of older schemas have none.
ALTER TABLE receipt ADD COLUMN author_kind TEXT
    CHECK (author_kind IN ('agent', 'worker', 'runner', 'person', 'system'));

-- The names of persons who have written, so that no agent can claim or write under one.
CREATE INDEX receipt_by_person ON receipt (author) WHERE author_kind = 'person';

-- Whose decisions at a checkpoint count.
ALTER TABLE batch ADD COLUMN review TEXT NOT NULL DEFAULT 'any' CHECK (review IN ('any', 'person'));

PRAGMA user_version = 14;
