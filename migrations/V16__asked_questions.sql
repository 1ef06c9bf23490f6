-- The questions that a client was given for its person and that are not answered yet. Their keys cannot be guessed, and an
-- answer counts only with the key of its question: a client recorded decisions under keys that it had formed itself.
CREATE TABLE asked_question (
  key      TEXT PRIMARY KEY,
  asked_by TEXT NOT NULL,                    -- the handle of a wait, or the call that the client repeats with the answer
  question TEXT NOT NULL,                    -- the chunks that it is about, and their state
  asked_at INTEGER NOT NULL,
  UNIQUE (asked_by, question)
) STRICT, WITHOUT ROWID;

-- Whether the client that started the wait can show a form. Another client of that name cannot change it.
ALTER TABLE wait ADD COLUMN can_ask INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 16;
