-- The schema of a store in PostgreSQL. Tables and columns have the names that they have in SQLite at schema 16. Numbers are
-- 64 bits wide, truth values are 0 or 1, times are milliseconds since 1970 (UTC), and texts are compared by their bytes.
--
-- Writers take turns: each write transaction begins with an advisory lock of the store. Numbers that grow (rows, changes)
-- are therefore kept in one row, and are given in the order of the commits.

-- The only row is written by every write transaction. A low fillfactor keeps its versions on one page.
CREATE TABLE schema_version (
  version bigint NOT NULL
);
INSERT INTO schema_version VALUES (1);

CREATE TABLE counter (
  one           bigint PRIMARY KEY CHECK (one = 1),
  change_number bigint NOT NULL,            -- the latest change
  task_row      bigint NOT NULL,            -- the last row of `task` that was given
  receipt_row   bigint NOT NULL             -- the last row of `receipt` that was given
) WITH (fillfactor = 10);
INSERT INTO counter VALUES (1, 0, 0, 0);

CREATE TABLE task (
  row_id           bigint PRIMARY KEY,      -- the order of creation
  id               text COLLATE "C" NOT NULL UNIQUE,
  title            text NOT NULL,
  type             text COLLATE "C" NOT NULL,
  status           text COLLATE "C" NOT NULL,
  priority         bigint NOT NULL,
  position         bigint NOT NULL,         -- `order` on the wire
  project          text COLLATE "C",
  parent           bigint REFERENCES task(row_id),
  assignee         text COLLATE "C",
  due_at           bigint,
  tags             text NOT NULL,           -- a JSON array
  effort           text,
  context          text,
  complexity       text,
  role             text COLLATE "C" NOT NULL CHECK (role IN ('task', 'batch', 'chunk')),
  initial_text     text NOT NULL,           -- the body before its first receipt
  has_checkbox     bigint NOT NULL,
  receipt_count    bigint NOT NULL DEFAULT 0, -- set by the trigger of `receipt`
  blocker_count    bigint NOT NULL DEFAULT 0, -- unfinished dependencies and holds
  created_at       bigint NOT NULL,
  updated_at       bigint NOT NULL,
  change_number    bigint NOT NULL,
  generation       bigint NOT NULL DEFAULT 0, -- grows with every claim
  claim_worker     text,                    -- the latest claim, live or not
  claim_token      text,
  claimed_at       bigint,
  expires_at       bigint,
  lease_seconds    bigint,
  dependency_count bigint NOT NULL DEFAULT 0,
  hold_count       bigint NOT NULL DEFAULT 0,
  held_until       bigint,
  status_changed   bigint NOT NULL DEFAULT 0, -- the change number of the latest change of status or holder
  content_hash     bytea CHECK (length(content_hash) = 32),
  queue_state      text COLLATE "C" GENERATED ALWAYS AS
    (CASE WHEN status <> 'active' THEN status WHEN blocker_count > 0 THEN 'not_ready' ELSE 'ready' END) STORED,
  search           tsvector                 -- folded words of the title and the initial text
) WITH (fillfactor = 70);

CREATE INDEX task_by_queue_state ON task (queue_state, priority, position, row_id);
CREATE INDEX task_by_project     ON task (project, queue_state, priority, position, row_id) WHERE project IS NOT NULL;
CREATE INDEX task_by_parent      ON task (parent, queue_state, priority, position, row_id) WHERE parent IS NOT NULL;
CREATE INDEX task_by_assignee    ON task (assignee, queue_state, priority, position, row_id) WHERE assignee IS NOT NULL;
CREATE INDEX task_by_change      ON task (change_number);
CREATE INDEX task_by_lease       ON task (expires_at) WHERE status = 'in_progress';
CREATE INDEX task_by_hold        ON task (held_until) WHERE held_until IS NOT NULL;
CREATE INDEX task_by_words       ON task USING gin (search);

CREATE TABLE task_count (
  project     text COLLATE "C" NOT NULL,    -- '' for none
  queue_state text COLLATE "C" NOT NULL,
  type        text COLLATE "C" NOT NULL,
  priority    bigint NOT NULL,
  count       bigint NOT NULL,
  PRIMARY KEY (project, queue_state, type, priority)
) WITH (fillfactor = 30);

CREATE TABLE dependency (
  task       bigint NOT NULL REFERENCES task(row_id),
  depends_on bigint NOT NULL REFERENCES task(row_id),
  soft       bigint NOT NULL,
  position   bigint NOT NULL,
  PRIMARY KEY (task, soft, depends_on)
);
CREATE INDEX dependency_by_depends_on ON dependency (depends_on, soft, task);

CREATE TABLE receipt (
  row_id          bigint PRIMARY KEY,       -- the order of writing, over all tasks
  task            bigint NOT NULL REFERENCES task(row_id),
  number          bigint NOT NULL,          -- from 1, without gaps, per task
  created_at      bigint NOT NULL,
  author          text COLLATE "C" NOT NULL,
  text            text NOT NULL,
  item_key        text COLLATE "C",
  outcome         text COLLATE "C",
  category        text COLLATE "C",
  late            bigint NOT NULL,          -- it came with a token that was no longer valid
  hash            bytea NOT NULL CHECK (length(hash) = 32), -- over this receipt and the hash before it
  step_name       text COLLATE "C",
  model           text,
  tokens_in       bigint,
  tokens_out      bigint,
  cost_millionths bigint,
  author_kind     text COLLATE "C" CHECK (author_kind IN ('agent', 'worker', 'runner', 'person', 'system')),
  decision        text COLLATE "C" CHECK (decision IN ('approve', 'reject', 'redo')),
  search          tsvector,                 -- folded words of the text
  UNIQUE (task, number)
);
CREATE INDEX receipt_late      ON receipt (task) WHERE late = 1;
CREATE INDEX receipt_by_person ON receipt (author) WHERE author_kind = 'person';
CREATE INDEX receipt_by_words  ON receipt USING gin (search);

CREATE TABLE batch (
  task                bigint PRIMARY KEY REFERENCES task(row_id),
  instructions        text NOT NULL,
  key_field           text NOT NULL,
  split               text NOT NULL,
  max_chunk           bigint NOT NULL,
  max_parallel        bigint NOT NULL,
  max_attempts        bigint NOT NULL,
  command             text,                 -- a JSON array
  chunks_total        bigint NOT NULL,
  chunks_ended        bigint NOT NULL DEFAULT 0,
  chunks_unsuccessful bigint NOT NULL DEFAULT 0,
  items_total         bigint NOT NULL,
  items_done          bigint NOT NULL DEFAULT 0,
  items_failed        bigint NOT NULL DEFAULT 0,
  items_skipped       bigint NOT NULL DEFAULT 0,
  started_at          bigint,
  steps               text,                 -- a JSON array
  checkpoint          text NOT NULL DEFAULT 'none',
  auto_approve_after  bigint,
  approvals_in_a_row  bigint NOT NULL DEFAULT 0,
  max_failures        text,
  failures_at_resume  bigint NOT NULL DEFAULT 0,
  pause_reason        text,
  finish_task         bigint REFERENCES task(row_id),
  in_doubt_policy     text NOT NULL DEFAULT 'retry',
  worker_profile      text,
  on_conflict         text,
  resource_fields     text,                 -- a JSON array
  accepted_failures   bigint NOT NULL DEFAULT 0,
  review              text NOT NULL DEFAULT 'any' CHECK (review IN ('any', 'person')),
  items_bytes         bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE chunk (
  task                bigint PRIMARY KEY REFERENCES task(row_id),
  batch               bigint NOT NULL REFERENCES batch(task),
  number              bigint NOT NULL,
  span                text NOT NULL,
  attempts            bigint NOT NULL DEFAULT 0,
  items_total         bigint NOT NULL,
  items_done          bigint NOT NULL DEFAULT 0,
  items_failed        bigint NOT NULL DEFAULT 0,
  items_skipped       bigint NOT NULL DEFAULT 0,
  step_index          bigint NOT NULL DEFAULT 0,
  review_note         text NOT NULL DEFAULT '',
  accepted_generation bigint NOT NULL DEFAULT 0,
  release_reasons     text NOT NULL DEFAULT '',
  items_hash          bytea CHECK (length(items_hash) = 32),
  UNIQUE (batch, number)
) WITH (fillfactor = 70);

-- No foreign keys: the items of a large batch are inserted before its chunks. Every query reaches an item through its chunk.
CREATE TABLE item (
  chunk              bigint NOT NULL,
  position           bigint NOT NULL,
  batch              bigint NOT NULL,
  key                text COLLATE "C" NOT NULL,
  fields             text NOT NULL,         -- a JSON object
  outcome            text COLLATE "C",
  category           text COLLATE "C",
  receipt_number     bigint,                -- of the receipt that settled the item
  step_index         bigint NOT NULL DEFAULT 0,
  started_receipt    bigint,                -- number of the receipt that reported the start
  started_generation bigint,
  PRIMARY KEY (chunk, position),
  UNIQUE (batch, key)
) WITH (fillfactor = 80);
CREATE INDEX item_by_start ON item (batch, chunk) WHERE started_receipt IS NOT NULL;

CREATE TABLE earlier_outcome (
  chunk          bigint NOT NULL,
  position       bigint NOT NULL,
  step_index     bigint NOT NULL,
  outcome        text COLLATE "C" NOT NULL,
  category       text COLLATE "C",
  receipt_number bigint NOT NULL,
  PRIMARY KEY (chunk, position, step_index),
  FOREIGN KEY (chunk, position) REFERENCES item (chunk, position)
);

CREATE TABLE category_count (
  task     bigint NOT NULL REFERENCES task(row_id),
  category text COLLATE "C" NOT NULL,
  count    bigint NOT NULL,
  PRIMARY KEY (task, category)
) WITH (fillfactor = 50);

CREATE TABLE cost_total (
  task            bigint NOT NULL REFERENCES task(row_id),
  grouped_by      text COLLATE "C" NOT NULL, -- all, worker, category, model
  group_name      text COLLATE "C" NOT NULL,
  tokens_in       bigint NOT NULL,
  tokens_out      bigint NOT NULL,
  cost_millionths bigint NOT NULL,
  PRIMARY KEY (task, grouped_by, group_name)
) WITH (fillfactor = 50);

-- The receipts of a batch and its chunks, in the order of the changes.
CREATE TABLE batch_receipt (
  batch         bigint NOT NULL REFERENCES batch(task),
  change_number bigint NOT NULL,
  receipt       bigint NOT NULL REFERENCES receipt(row_id),
  PRIMARY KEY (batch, change_number)
);

CREATE TABLE stored_response (
  request_key text COLLATE "C" PRIMARY KEY,
  operation   text NOT NULL,
  fingerprint bytea NOT NULL,
  response    text NOT NULL,
  created_at  bigint NOT NULL
);

CREATE TABLE resource_block (
  batch    bigint NOT NULL,
  layer    bigint NOT NULL,                 -- blocks of one layer do not overlap
  last_key text COLLATE "C" NOT NULL,       -- the last key of the block
  entries  text NOT NULL,
  PRIMARY KEY (batch, layer, last_key)
);

CREATE TABLE shared_resource (
  chunk            bigint NOT NULL,
  resource_key     text COLLATE "C" NOT NULL,
  descendants_only bigint NOT NULL,
  project          text COLLATE "C" NOT NULL, -- '' for none
  PRIMARY KEY (chunk, resource_key, project)
);

CREATE TABLE resource_in_use (
  project          text COLLATE "C" NOT NULL,
  resource_key     text COLLATE "C" NOT NULL,
  chunk            bigint NOT NULL REFERENCES chunk(task),
  descendants_only bigint NOT NULL,
  PRIMARY KEY (project, resource_key, chunk)
);

CREATE TABLE wait (
  handle             text COLLATE "C" PRIMARY KEY,
  batch              bigint NOT NULL REFERENCES task(row_id),
  client             text NOT NULL,
  created_at         bigint NOT NULL,
  updated_at         bigint NOT NULL,
  end_reported_at    bigint,
  cancelled_at       bigint,
  last_answer_result text NOT NULL DEFAULT '',
  since_change       bigint NOT NULL DEFAULT 0,
  can_ask            bigint NOT NULL DEFAULT 0
);
CREATE INDEX wait_by_batch ON wait (batch) WHERE end_reported_at IS NULL AND cancelled_at IS NULL;

CREATE TABLE wait_question (
  handle   text COLLATE "C" NOT NULL REFERENCES wait(handle),
  question text COLLATE "C" NOT NULL,
  declined bigint NOT NULL,
  PRIMARY KEY (handle, question)
);

CREATE TABLE asked_question (
  key      text COLLATE "C" PRIMARY KEY,
  asked_by text COLLATE "C" NOT NULL,
  question text COLLATE "C" NOT NULL,
  asked_at bigint NOT NULL,
  UNIQUE (asked_by, question)
);

CREATE TABLE runner (
  batch        bigint PRIMARY KEY REFERENCES batch(task),
  run_marker   text NOT NULL,
  profile      text NOT NULL,
  pid          bigint NOT NULL,
  host         text NOT NULL,
  started_at   bigint NOT NULL,
  heartbeat_at bigint NOT NULL,
  permits_held bigint NOT NULL DEFAULT 0,
  wants_permit bigint NOT NULL DEFAULT 0,
  wait_reason  text
);

CREATE TABLE paused_profile (
  name   text COLLATE "C" PRIMARY KEY,
  reason text NOT NULL
);

CREATE TABLE worker_start (
  profile    text COLLATE "C" NOT NULL,
  started_at bigint NOT NULL
);
CREATE INDEX worker_start_by_profile ON worker_start (profile, started_at);

-- The rows of `task` that are reserved for a large batch while its items are being inserted.
CREATE TABLE unpublished (
  first_row bigint PRIMARY KEY,
  row_count bigint NOT NULL,
  batch     bigint NOT NULL,
  layer     bigint NOT NULL
);

CREATE TABLE unpublished_chunk (
  task        bigint PRIMARY KEY,
  number      bigint NOT NULL,
  id          text COLLATE "C" NOT NULL,
  title       text NOT NULL,
  span        text NOT NULL,
  items_total bigint NOT NULL,
  items_hash  bytea CHECK (length(items_hash) = 32),
  items_bytes bigint NOT NULL DEFAULT 0,
  search      tsvector
);

-- Who does what only one process may do at a time, until when. A holder that does not renew its lease in time has lost it:
-- `fence` grows with each holder.
CREATE TABLE lease (
  name       text COLLATE "C" PRIMARY KEY,
  holder     text NOT NULL,
  fence      bigint NOT NULL,
  expires_at bigint NOT NULL
) WITH (fillfactor = 50);

-- One row per process that has written lately: the number of its latest committed transaction. A process whose connection
-- ended during a commit finds here whether it was done. The id of the transaction (pg_xact_status) would not show that:
-- after a crash, PostgreSQL gives the ids of lost transactions again.
CREATE TABLE writer (
  id           text COLLATE "C" PRIMARY KEY,
  last_commit  bigint NOT NULL,
  committed_at bigint NOT NULL
) WITH (fillfactor = 10);

-- Protection against programs that write to the tables: what was written stays as it was written.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER task_is_never_deleted BEFORE DELETE ON task
  FOR EACH ROW EXECUTE FUNCTION refuse('a task is never deleted');
CREATE TRIGGER task_is_never_truncated BEFORE TRUNCATE ON task
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('a task is never deleted');
CREATE TRIGGER task_identity_is_immutable BEFORE UPDATE OF row_id, id, initial_text, created_at ON task
  FOR EACH ROW WHEN (NEW.row_id <> OLD.row_id OR NEW.id <> OLD.id OR NEW.initial_text <> OLD.initial_text
                     OR NEW.created_at <> OLD.created_at)
  EXECUTE FUNCTION refuse('the id, initial text and creation time of a task never change');
CREATE TRIGGER content_hash_never_changes BEFORE UPDATE OF content_hash ON task
  FOR EACH ROW WHEN (OLD.content_hash IS NOT NULL AND NEW.content_hash IS DISTINCT FROM OLD.content_hash)
  EXECUTE FUNCTION refuse('the hash of a task''s content never changes');
CREATE TRIGGER receipt_is_never_changed BEFORE UPDATE ON receipt
  FOR EACH ROW EXECUTE FUNCTION refuse('a receipt is never changed');
CREATE TRIGGER receipt_is_never_deleted BEFORE DELETE ON receipt
  FOR EACH ROW EXECUTE FUNCTION refuse('a receipt is never deleted');
CREATE TRIGGER receipt_is_never_truncated BEFORE TRUNCATE ON receipt
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('a receipt is never deleted');
CREATE TRIGGER batch_rules_never_change
  BEFORE UPDATE OF instructions, key_field, split, steps, checkpoint, review, auto_approve_after, max_failures, in_doubt_policy,
                   on_conflict, resource_fields ON batch
  FOR EACH ROW EXECUTE FUNCTION refuse('the instructions and rules of a batch never change');
CREATE TRIGGER item_content_never_changes BEFORE UPDATE OF chunk, position, batch, key, fields ON item
  FOR EACH ROW EXECUTE FUNCTION refuse('the key and the fields of an item never change');

-- Receipts are numbered per task without gaps, and the task counts them.
CREATE FUNCTION count_receipts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted bigint;
BEGIN
  UPDATE task SET receipt_count = n.last
    FROM (SELECT task, min(number) AS first, max(number) AS last, count(*) AS count FROM new_receipt GROUP BY task) n
   WHERE task.row_id = n.task AND task.receipt_count = n.first - 1 AND n.last - n.first + 1 = n.count;
  GET DIAGNOSTICS counted = ROW_COUNT;
  IF counted <> (SELECT count(DISTINCT task) FROM new_receipt) THEN
    RAISE EXCEPTION 'receipts are numbered without gaps' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER receipt_count_after_insert AFTER INSERT ON receipt REFERENCING NEW TABLE AS new_receipt
  FOR EACH STATEMENT EXECUTE FUNCTION count_receipts();

CREATE FUNCTION refuse_wrong_receipt_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.receipt_count IS DISTINCT FROM (SELECT max(number) FROM receipt WHERE task = NEW.row_id) THEN
    RAISE EXCEPTION 'receipt_count is the number of the last receipt of the task' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER task_receipt_count_is_exact BEFORE UPDATE OF receipt_count ON task
  FOR EACH ROW WHEN (NEW.receipt_count <> OLD.receipt_count) EXECUTE FUNCTION refuse_wrong_receipt_count();

-- How many tasks there are of each project, state, type and priority, so that a total is read and not counted.
CREATE FUNCTION count_new_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO task_count AS c (project, queue_state, type, priority, count)
  SELECT coalesce(project, ''), queue_state, type, priority, count(*) FROM new_task GROUP BY 1, 2, 3, 4
  ON CONFLICT (project, queue_state, type, priority) DO UPDATE SET count = c.count + excluded.count;
  RETURN NULL;
END $$;
CREATE TRIGGER task_count_after_insert AFTER INSERT ON task REFERENCING NEW TABLE AS new_task
  FOR EACH STATEMENT EXECUTE FUNCTION count_new_tasks();

CREATE FUNCTION count_changed_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO task_count AS c (project, queue_state, type, priority, count)
  SELECT project, queue_state, type, priority, sum(by) FROM (
    SELECT coalesce(n.project, '') AS project, n.queue_state, n.type, n.priority, 1 AS by
      FROM new_task n JOIN old_task o USING (row_id)
     WHERE (n.project, n.queue_state, n.type, n.priority) IS DISTINCT FROM (o.project, o.queue_state, o.type, o.priority)
    UNION ALL
    SELECT coalesce(o.project, ''), o.queue_state, o.type, o.priority, -1
      FROM new_task n JOIN old_task o USING (row_id)
     WHERE (n.project, n.queue_state, n.type, n.priority) IS DISTINCT FROM (o.project, o.queue_state, o.type, o.priority)
  ) changed GROUP BY 1, 2, 3, 4 HAVING sum(by) <> 0
  ON CONFLICT (project, queue_state, type, priority) DO UPDATE SET count = c.count + excluded.count;
  RETURN NULL;
END $$;
CREATE TRIGGER task_count_after_update AFTER UPDATE ON task REFERENCING OLD TABLE AS old_task NEW TABLE AS new_task
  FOR EACH STATEMENT EXECUTE FUNCTION count_changed_tasks();

-- The resources of chunks in progress.
CREATE FUNCTION set_resources_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status = 'in_progress' THEN
    INSERT INTO resource_in_use (project, resource_key, chunk, descendants_only)
    SELECT project, resource_key, chunk, descendants_only FROM shared_resource WHERE chunk = NEW.row_id;
  ELSE
    DELETE FROM resource_in_use u USING shared_resource s
     WHERE s.chunk = NEW.row_id AND u.project = s.project AND u.resource_key = s.resource_key AND u.chunk = s.chunk;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER resource_in_use_after_update AFTER UPDATE OF status ON task
  FOR EACH ROW WHEN (NEW.role = 'chunk' AND (NEW.status = 'in_progress') <> (OLD.status = 'in_progress'))
  EXECUTE FUNCTION set_resources_in_use();

-- A statement that has to change a row, and did not, fails with its own message.
CREATE FUNCTION refuse_unless(is_met boolean, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT is_met THEN
    RAISE EXCEPTION '%', message USING ERRCODE = 'TT001';
  END IF;
END $$;
