-- Tables and columns get the names that the documentation and the code use for the same things.
-- `RENAME` changes the schema only; no row is rewritten. Two things are rebuilt: the indexes over
-- the queue state, because its words for an active task become 'ready' and 'not_ready', and the
-- full-text index of tasks, because SQLite cannot rename the columns of an FTS5 table.

DROP TRIGGER task_stays;
DROP TRIGGER task_is_not_replaced;
DROP TRIGGER task_keeps_its_body;
DROP TRIGGER task_counts_receipts;
DROP TRIGGER tally_new;
DROP TRIGGER tally_moved;
DROP TRIGGER receipt_stays_as_written;
DROP TRIGGER receipt_stays;
DROP TRIGGER receipt_is_next;
DROP TRIGGER receipt_counts;
DROP TRIGGER held_while_worked;
DROP TRIGGER held_no_longer;

DROP INDEX task_by_lane;
DROP INDEX task_by_project;
DROP INDEX task_by_parent;
DROP INDEX task_by_assignee;
DROP INDEX dependency_by_needs;

ALTER TABLE task DROP COLUMN lane;
ALTER TABLE task RENAME COLUMN n TO row_id;
ALTER TABLE task RENAME COLUMN due TO due_at;
ALTER TABLE task RENAME COLUMN opening TO initial_text;
ALTER TABLE task RENAME COLUMN boxes TO has_checkbox;
ALTER TABLE task RENAME COLUMN receipts TO receipt_count;
ALTER TABLE task RENAME COLUMN blockers TO blocker_count;      -- unfinished hard dependencies and holds
ALTER TABLE task RENAME COLUMN needs TO dependency_count;      -- hard and soft
ALTER TABLE task RENAME COLUMN holds TO hold_count;
ALTER TABLE task RENAME COLUMN created TO created_at;
ALTER TABLE task RENAME COLUMN updated TO updated_at;
ALTER TABLE task RENAME COLUMN changed TO change_number;       -- number of the task's latest change
ALTER TABLE task RENAME COLUMN moved TO status_changed;        -- number of its latest change of status or holder
ALTER TABLE task RENAME COLUMN worker TO claim_worker;
ALTER TABLE task RENAME COLUMN token TO claim_token;
ALTER TABLE task RENAME COLUMN since TO claimed_at;
ALTER TABLE task RENAME COLUMN expires TO expires_at;
ALTER TABLE task RENAME COLUMN lease TO lease_seconds;
ALTER TABLE task ADD COLUMN queue_state TEXT GENERATED ALWAYS AS
  (CASE WHEN status <> 'active' THEN status WHEN blocker_count > 0 THEN 'not_ready' ELSE 'ready' END) VIRTUAL;

CREATE INDEX task_by_queue_state ON task(queue_state, priority, position, row_id);
CREATE INDEX task_by_project     ON task(project, queue_state, priority, position, row_id) WHERE project IS NOT NULL;
CREATE INDEX task_by_parent      ON task(parent, queue_state, priority, position, row_id) WHERE parent IS NOT NULL;
CREATE INDEX task_by_assignee    ON task(assignee, queue_state, priority, position, row_id) WHERE assignee IS NOT NULL;

ALTER TABLE tally RENAME TO task_count;
ALTER TABLE task_count RENAME COLUMN lane TO queue_state;
UPDATE task_count SET queue_state = 'ready' WHERE queue_state = 'active';
UPDATE task_count SET queue_state = 'not_ready' WHERE queue_state = 'held';

ALTER TABLE dependency RENAME COLUMN needs TO depends_on;
CREATE INDEX dependency_by_depends_on ON dependency(depends_on, soft, task);

ALTER TABLE receipt RENAME COLUMN n TO row_id;
ALTER TABLE receipt RENAME COLUMN at TO created_at;
ALTER TABLE receipt RENAME COLUMN item TO item_key;
ALTER TABLE receipt RENAME COLUMN step TO step_name;
ALTER TABLE receipt RENAME COLUMN cost TO cost_millionths;

ALTER TABLE batch RENAME COLUMN key TO key_field;
ALTER TABLE batch RENAME COLUMN chunks TO chunks_total;
ALTER TABLE batch RENAME COLUMN ended TO chunks_ended;
ALTER TABLE batch RENAME COLUMN unsuccessful TO chunks_unsuccessful; -- failed or cancelled
ALTER TABLE batch RENAME COLUMN total TO items_total;
ALTER TABLE batch RENAME COLUMN done TO items_done;
ALTER TABLE batch RENAME COLUMN failed TO items_failed;
ALTER TABLE batch RENAME COLUMN skipped TO items_skipped;
ALTER TABLE batch RENAME COLUMN started TO started_at;
ALTER TABLE batch RENAME COLUMN auto_approve TO auto_approve_after;
ALTER TABLE batch RENAME COLUMN approved TO approvals_in_a_row;
ALTER TABLE batch RENAME COLUMN forgiven TO failures_at_resume; -- failed items when the batch was last resumed
ALTER TABLE batch RENAME COLUMN paused TO pause_reason;
ALTER TABLE batch RENAME COLUMN finish TO finish_task;
ALTER TABLE batch RENAME COLUMN in_doubt TO in_doubt_policy;
ALTER TABLE batch RENAME COLUMN worker TO worker_profile;
ALTER TABLE batch RENAME COLUMN resources TO resource_fields;

ALTER TABLE batch_receipt RENAME COLUMN changed TO change_number;

ALTER TABLE chunk RENAME COLUMN total TO items_total;
ALTER TABLE chunk RENAME COLUMN done TO items_done;
ALTER TABLE chunk RENAME COLUMN failed TO items_failed;
ALTER TABLE chunk RENAME COLUMN skipped TO items_skipped;
ALTER TABLE chunk RENAME COLUMN step TO step_index;
ALTER TABLE chunk RENAME COLUMN note TO review_note;
ALTER TABLE chunk RENAME COLUMN accepted TO accepted_generation;
ALTER TABLE chunk RENAME COLUMN reasons TO release_reasons;

ALTER TABLE item RENAME COLUMN receipt TO receipt_number;      -- of the receipt that settled the item
ALTER TABLE item RENAME COLUMN step TO step_index;
ALTER TABLE item RENAME COLUMN started TO started_receipt;     -- number of the receipt that reported the start
ALTER TABLE item RENAME COLUMN started_under TO started_generation;

ALTER TABLE earlier RENAME TO earlier_outcome;
ALTER TABLE earlier_outcome RENAME COLUMN step TO step_index;
ALTER TABLE earlier_outcome RENAME COLUMN receipt TO receipt_number;

ALTER TABLE category RENAME TO category_count;
ALTER TABLE category_count RENAME COLUMN name TO category;

ALTER TABLE spent RENAME TO cost_total;
ALTER TABLE cost_total RENAME COLUMN kind TO grouped_by;
ALTER TABLE cost_total RENAME COLUMN name TO group_name;
ALTER TABLE cost_total RENAME COLUMN cost TO cost_millionths;

ALTER TABLE request RENAME TO stored_response;
ALTER TABLE stored_response RENAME COLUMN key TO request_key;
ALTER TABLE stored_response RENAME COLUMN reply TO response;
ALTER TABLE stored_response RENAME COLUMN at TO created_at;

ALTER TABLE touch RENAME TO resource_block;
ALTER TABLE resource_block RENAME COLUMN last TO last_key;

ALTER TABLE interlock RENAME TO shared_resource;
ALTER TABLE shared_resource RENAME COLUMN key TO resource_key;
ALTER TABLE shared_resource RENAME COLUMN beneath TO descendants_only; -- the chunk touches only paths below the resource

ALTER TABLE held RENAME TO resource_in_use;
ALTER TABLE resource_in_use RENAME COLUMN key TO resource_key;
ALTER TABLE resource_in_use RENAME COLUMN beneath TO descendants_only;

ALTER TABLE wait RENAME COLUMN asked_by TO client;
ALTER TABLE wait RENAME COLUMN created TO created_at;
ALTER TABLE wait RENAME COLUMN updated TO updated_at;
ALTER TABLE wait RENAME COLUMN ended TO end_reported_at;       -- when the client was first informed of the batch's end
ALTER TABLE wait RENAME COLUMN cancelled TO cancelled_at;
ALTER TABLE wait RENAME COLUMN said TO last_answer_result;
ALTER TABLE wait_question RENAME COLUMN tries TO failed_answers;

ALTER TABLE runner RENAME COLUMN nonce TO run_marker;
ALTER TABLE runner RENAME COLUMN since TO started_at;
ALTER TABLE runner RENAME COLUMN seen TO heartbeat_at;
ALTER TABLE runner RENAME COLUMN held TO permits_held;
ALTER TABLE runner RENAME COLUMN wants TO wants_permit;
ALTER TABLE runner RENAME COLUMN note TO wait_reason;
ALTER TABLE worker_start RENAME COLUMN at TO started_at;

-- Up to which row tasks and receipts are in the full-text indexes.
ALTER TABLE indexed RENAME TO search_progress;
ALTER TABLE search_progress RENAME COLUMN task TO last_task;
ALTER TABLE search_progress RENAME COLUMN receipt TO last_receipt;
DROP TABLE task_text;
CREATE VIRTUAL TABLE task_text USING fts5(title, initial_text, content='', contentless_delete=1);
INSERT INTO task_text (rowid, title, initial_text)
SELECT row_id, title, initial_text FROM task WHERE row_id <= (SELECT last_task FROM search_progress);

CREATE TRIGGER task_is_never_deleted BEFORE DELETE ON task
BEGIN SELECT RAISE(ABORT, 'a task is never deleted'); END;
CREATE TRIGGER task_is_never_replaced BEFORE INSERT ON task
WHEN EXISTS (SELECT 1 FROM task WHERE row_id = NEW.row_id OR id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a task is never replaced'); END;
CREATE TRIGGER task_identity_is_immutable BEFORE UPDATE OF row_id, id, initial_text, created_at ON task
WHEN NEW.row_id <> OLD.row_id OR NEW.id <> OLD.id OR NEW.initial_text <> OLD.initial_text OR NEW.created_at <> OLD.created_at
BEGIN SELECT RAISE(ABORT, 'the id, initial text and creation time of a task never change'); END;
CREATE TRIGGER task_receipt_count_is_exact BEFORE UPDATE OF receipt_count ON task
WHEN NEW.receipt_count <> OLD.receipt_count
 AND NEW.receipt_count IS NOT (SELECT max(number) FROM receipt WHERE task = NEW.row_id)
BEGIN SELECT RAISE(ABORT, 'receipt_count is the number of the last receipt of the task'); END;

CREATE TRIGGER task_count_after_insert AFTER INSERT ON task
BEGIN
  INSERT INTO task_count (project, queue_state, type, priority, count)
  VALUES (ifnull(NEW.project, ''), NEW.queue_state, NEW.type, NEW.priority, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER task_count_after_update AFTER UPDATE OF project, status, blocker_count, type, priority ON task
WHEN NEW.project IS NOT OLD.project OR NEW.queue_state <> OLD.queue_state OR NEW.type <> OLD.type OR NEW.priority <> OLD.priority
BEGIN
  UPDATE task_count SET count = count - 1
   WHERE project = ifnull(OLD.project, '') AND queue_state = OLD.queue_state AND type = OLD.type AND priority = OLD.priority;
  INSERT INTO task_count (project, queue_state, type, priority, count)
  VALUES (ifnull(NEW.project, ''), NEW.queue_state, NEW.type, NEW.priority, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER receipt_is_never_changed BEFORE UPDATE ON receipt
BEGIN SELECT RAISE(ABORT, 'a receipt is never changed'); END;
CREATE TRIGGER receipt_is_never_deleted BEFORE DELETE ON receipt
BEGIN SELECT RAISE(ABORT, 'a receipt is never deleted'); END;
-- REPLACE deletes the old row without running the trigger above; this one refuses its INSERT.
CREATE TRIGGER receipt_number_is_next BEFORE INSERT ON receipt
WHEN NEW.number IS NOT (SELECT receipt_count + 1 FROM task WHERE row_id = NEW.task)
  OR EXISTS (SELECT 1 FROM receipt WHERE row_id = NEW.row_id)
BEGIN SELECT RAISE(ABORT, 'receipts are numbered without gaps'); END;
CREATE TRIGGER receipt_count_after_insert AFTER INSERT ON receipt
BEGIN UPDATE task SET receipt_count = NEW.number WHERE row_id = NEW.task; END;

CREATE TRIGGER resource_in_use_after_start AFTER UPDATE OF status ON task
WHEN NEW.role = 'chunk' AND NEW.status = 'in_progress' AND OLD.status <> 'in_progress'
BEGIN
  INSERT INTO resource_in_use (project, resource_key, chunk, descendants_only)
  SELECT project, resource_key, chunk, descendants_only FROM shared_resource WHERE chunk = NEW.row_id;
END;
CREATE TRIGGER resource_in_use_after_end AFTER UPDATE OF status ON task
WHEN OLD.role = 'chunk' AND OLD.status = 'in_progress' AND NEW.status <> 'in_progress'
BEGIN
  DELETE FROM resource_in_use WHERE (project, resource_key, chunk) IN
    (SELECT project, resource_key, chunk FROM shared_resource WHERE chunk = NEW.row_id);
END;

-- The list of applied migrations. `user_version` alone says which schema a store has.
DROP TABLE IF EXISTS refinery_schema_history;

PRAGMA user_version = 9;
