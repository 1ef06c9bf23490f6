-- A person can accept the failures of a batch that has ended. Until then, or until a retry, they stay in the overview.
ALTER TABLE batch ADD COLUMN accepted_failures INTEGER NOT NULL DEFAULT 0; -- failed items and chunks when they were accepted

-- A rejected chunk has a status of its own. It was 'failed', and recognized by having completed its step.
UPDATE task SET status = 'rejected'
 WHERE role = 'chunk' AND status = 'failed'
   AND generation = (SELECT accepted_generation FROM chunk WHERE chunk.task = task.row_id)
   AND (SELECT items_failed FROM chunk WHERE chunk.task = task.row_id) = 0;

PRAGMA user_version = 11;
