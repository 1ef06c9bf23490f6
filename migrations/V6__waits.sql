-- Who waits for a batch by a handle, and which questions were put to them in vain.

CREATE TABLE wait (
  handle    TEXT PRIMARY KEY,
  batch     INTEGER NOT NULL REFERENCES task(n),
  asked_by  TEXT NOT NULL,                        -- the client that was given the handle
  created   INTEGER NOT NULL,
  updated   INTEGER NOT NULL,
  ended     INTEGER,                              -- when its holder was first told that the batch had ended
  cancelled INTEGER,                              -- when the waiting was cancelled
  said      TEXT NOT NULL DEFAULT ''              -- what the last answer to a question came to
) STRICT, WITHOUT ROWID;
CREATE INDEX wait_by_batch ON wait(batch) WHERE ended IS NULL AND cancelled IS NULL;

-- A question that a person did not decide.
CREATE TABLE wait_question (
  handle   TEXT NOT NULL REFERENCES wait(handle),
  question TEXT NOT NULL,                         -- the chunk and the generation that it is about
  tries    INTEGER NOT NULL,                      -- answers that could not be carried out
  declined INTEGER NOT NULL,                      -- whether it is not asked again
  PRIMARY KEY (handle, question)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 6;
