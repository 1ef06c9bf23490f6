//! Statements that write tasks, receipts, batches, chunks and items.

use super::search_text::search_vector;
use super::statement::Statement;
use super::tx::{Change, Tx, must_change_one};
use super::value::values;
use crate::error::Result;
use crate::model::batch::{Batch, Chunk, Settled, StoredItem};
use crate::model::checklist::has_checkbox;
use crate::model::content_hash::{ContentHash, batch_hash, text_hash};
use crate::model::status::Outcome;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::store::stored_texts::{BatchTexts, changed_since, list, role, settled_since};
use crate::store::{NewReceipt, NewTask, StoreRead as _, StoreWrite};

impl Tx<'_> {
    /// Inserts a task into a row.
    fn insert_task_row(&self, new: &NewTask<'_>, row: RowId) -> Result<()> {
        let task = new.task;
        let change_number = self.next_change_number();
        let role = role(task);
        self.write(
            "INSERT INTO task (id, title, type, status, priority, position, project, parent, assignee, due_at, tags, effort,
                               context, complexity, role, initial_text, has_checkbox, created_at, updated_at, change_number,
                               status_changed, row_id, content_hash, search)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18, $19, $19, $20, $21,
                     $22::text::tsvector)",
            values![
                task.id.as_str(),
                &task.title,
                task.task_type.as_str(),
                task.status.as_str(),
                task.priority,
                task.order,
                &task.project,
                task.parent_row,
                &task.assignee,
                task.due.map(|due| due.millis()),
                list(&task.tags),
                &task.effort,
                &task.context,
                task.complexity.map(|complexity| complexity.as_str()),
                role,
                new.initial_text,
                has_checkbox(new.initial_text),
                self.now().millis(),
                change_number,
                row,
                // `insert_batch` sets the hash of a batch, `finish_items` the one of a chunk.
                (role == "task").then(|| text_hash(new.initial_text)),
                search_vector(&task.title, new.initial_text),
            ],
        );
        Ok(())
    }

    fn add_to_category(&self, row: RowId, name: &str, count: i64) {
        self.change(Change::Category { task: row, name: name.to_owned(), by: count });
    }

    /// Adds items of a category to the counts of their chunk and its batch.
    pub(super) fn add_to_counts(&self, chunk: &Chunk, outcome: Outcome, category: &str, by: i64) {
        self.change(Change::Count { chunk: chunk.row, batch: chunk.batch_row, outcome, by });
        self.kept().counted(chunk, outcome, by);
        self.add_to_category(chunk.row, category, by);
        self.add_to_category(chunk.batch_row, category, by);
    }
}

impl StoreWrite for Tx<'_> {
    fn insert_task_at(&self, new: &NewTask<'_>, row: RowId) -> Result<()> {
        self.use_task_row(row);
        self.insert_task_row(new, row)
    }

    fn insert_task(&self, new: &NewTask<'_>) -> Result<RowId> {
        let row = self.next_task_row();
        self.insert_task_row(new, row)?;
        Ok(row)
    }

    fn update_fields(&self, before: &Task, task: &Task) -> Result<()> {
        let change_number = self.next_change_number();
        self.write_one(
            changed_since(task),
            "UPDATE task SET title = $3, type = $4, priority = $5, position = $6, project = $7, parent = $8, assignee = $9,
                    due_at = $10, tags = $11, effort = $12, context = $13, complexity = $14, updated_at = $15,
                    change_number = $16
              WHERE row_id = $1 AND generation = $2",
            values![
                task.row,
                task.generation,
                &task.title,
                task.task_type.as_str(),
                task.priority,
                task.order,
                &task.project,
                task.parent_row,
                &task.assignee,
                task.due.map(|due| due.millis()),
                list(&task.tags),
                &task.effort,
                &task.context,
                task.complexity.map(|complexity| complexity.as_str()),
                self.now().millis(),
                change_number,
            ],
        );
        if task.title != before.title {
            let text = self.initial_text(task.row)?;
            self.write(
                "UPDATE task SET search = $2::text::tsvector WHERE row_id = $1",
                values![task.row, search_vector(&task.title, &text)],
            );
        }
        Ok(())
    }

    fn update_state(&self, task: &Task, generation: u64) -> Result<()> {
        let change_number = self.next_change_number();
        let claim = task.claim.as_ref();
        let statement = must_change_one(
            changed_since(task),
            "UPDATE task SET status = $3, assignee = $4, updated_at = $5, change_number = $6, status_changed = $6, generation = $7,
                    claim_worker = $8, claim_token = $9, claimed_at = $10, expires_at = $11, lease_seconds = $12
              WHERE row_id = $1 AND generation = $2",
            values![
                task.row,
                generation,
                task.status.as_str(),
                &task.assignee,
                self.now().millis(),
                change_number,
                task.generation,
                claim.map(|claim| claim.worker.as_str()),
                claim.and_then(|claim| claim.token.as_ref()).map(|token| token.as_str()),
                claim.map(|claim| claim.claimed_at.millis()),
                claim.map(|claim| claim.expires_at.millis()),
                claim.map(|claim| claim.lease_seconds),
            ],
        );
        self.write_known(&["task", "task_count", "resource_in_use"], statement);
        self.kept().state_stored(task, (self.now(), change_number));
        Ok(())
    }

    fn renew_lease(&self, task: &Task, until: Timestamp) -> Result<()> {
        let change_number = self.next_change_number();
        let statement = must_change_one(
            changed_since(task),
            "UPDATE task SET expires_at = $3, updated_at = $4, change_number = $5 WHERE row_id = $1 AND generation = $2",
            values![task.row, task.generation, until.millis(), self.now().millis(), change_number],
        );
        self.write_known(&["task"], statement);
        self.kept().lease_extended(task.row, until, (self.now(), change_number));
        Ok(())
    }

    fn set_dependencies(&self, row: RowId, depends_on: &[RowId], soft: bool) -> Result<()> {
        self.write("DELETE FROM dependency WHERE task = $1 AND soft = $2", values![row, soft]);
        for (position, dependency) in (0_i64..).zip(depends_on) {
            self.write(
                "INSERT INTO dependency (task, depends_on, soft, position) VALUES ($1, $2, $3, $4)",
                values![row, *dependency, soft, position],
            );
        }
        self.write(
            "UPDATE task SET dependency_count = (SELECT count(*) FROM dependency WHERE task = $1) WHERE row_id = $1",
            values![row],
        );
        Ok(())
    }

    fn recount_blockers(&self, row: RowId) -> Result<()> {
        let change_number = self.next_change_number();
        self.write(
            "UPDATE task SET change_number = $2, blocker_count = hold_count + (
                SELECT count(*) FROM dependency d JOIN task other ON other.row_id = d.depends_on
                 WHERE d.task = $1 AND d.soft = 0 AND other.status <> 'done')
              WHERE row_id = $1",
            values![row, change_number],
        );
        Ok(())
    }

    fn append_receipt(&self, task: &Task, new: &NewReceipt<'_>) -> Result<u64> {
        self.insert_receipt(task, new)
    }

    fn insert_batch(&self, batch: &Batch) -> Result<()> {
        let texts = BatchTexts::of(batch)?;
        self.write(
            "INSERT INTO batch (task, instructions, key_field, split, max_chunk, max_parallel, max_attempts, command, chunks_total,
                                items_total, steps, checkpoint, auto_approve_after, max_failures, finish_task, in_doubt_policy,
                                worker_profile, on_conflict, resource_fields, review)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
            values![
                batch.row,
                &batch.instructions,
                &batch.key_field,
                &batch.split,
                batch.max_chunk,
                batch.max_parallel,
                batch.max_attempts,
                texts.command,
                batch.chunk_count,
                batch.counts.total,
                texts.steps,
                batch.checkpoint.as_str(),
                batch.auto_approve_after,
                batch.max_failures.map(|most| most.to_string()),
                batch.finish_row,
                batch.in_doubt.as_str(),
                &batch.profile,
                batch.on_conflict.map(|rule| rule.as_str()),
                texts.resource_fields,
                batch.review.as_str(),
            ],
        );
        self.write(
            "UPDATE task SET content_hash = $2 WHERE row_id = $1",
            values![batch.row, batch_hash(batch)],
        );
        Ok(())
    }

    fn insert_chunk(&self, chunk: &Chunk) -> Result<()> {
        self.write(
            "INSERT INTO chunk (task, batch, number, span, items_total) VALUES ($1, $2, $3, $4, $5)",
            values![chunk.row, chunk.batch_row, chunk.number, &chunk.span, chunk.counts.total],
        );
        Ok(())
    }

    fn insert_item(&self, batch: RowId, chunk: RowId, position: u64, key: &str, fields: &str) -> Result<()> {
        self.write_item(batch, chunk, position, key, fields)
    }

    fn finish_items(&self, batch: RowId, chunk: RowId, bytes: u64, hash: Option<&ContentHash>) -> Result<()> {
        self.write("UPDATE batch SET items_bytes = items_bytes + $2 WHERE task = $1", values![batch, bytes]);
        if let Some(hash) = hash {
            self.write("UPDATE chunk SET items_hash = $2 WHERE task = $1", values![chunk, *hash]);
        }
        Ok(())
    }

    fn grow_chunk(&self, chunk: RowId, items: u64, span: &str) -> Result<()> {
        self.write(
            "UPDATE chunk SET items_total = items_total + $2, span = $3 WHERE task = $1",
            values![chunk, items, span],
        );
        Ok(())
    }

    fn grow_batch(&self, batch: RowId, chunks: u64, items: u64) -> Result<()> {
        self.write(
            "UPDATE batch SET chunks_total = chunks_total + $2, items_total = items_total + $3 WHERE task = $1",
            values![batch, chunks, items],
        );
        Ok(())
    }

    fn settle_item(
        &self,
        chunk: &Chunk,
        item: &StoredItem,
        outcome: Outcome,
        category: Option<&str>,
        receipt: u64,
    ) -> Result<()> {
        let category = category.map(str::to_owned);
        let name = category.clone().unwrap_or_else(|| outcome.as_str().to_owned());
        self.change(Change::Settle {
            chunk: item.chunk_row,
            position: item.position,
            outcome,
            category: category.clone(),
            receipt,
            refusal: settled_since(&item.key),
        });
        self.kept().settled(chunk.batch_row, item, Settled { outcome, category, receipt });
        // `processed` is the sum of the categories: an item without one is counted under its outcome.
        self.add_to_counts(chunk, outcome, &name, 1);
        Ok(())
    }

    fn set_attempts(&self, chunk: &Chunk, attempts: i64) -> Result<()> {
        self.write_known(
            &["chunk"],
            Statement::with(
                "UPDATE chunk SET attempts = $2, release_reasons = CASE WHEN $2 = 0 THEN '' ELSE release_reasons END WHERE task = $1",
                values![chunk.row, attempts],
            ),
        );
        self.write_known(
            &["batch"],
            Statement::with(
                "UPDATE batch SET started_at = $2 WHERE task = $1 AND started_at IS NULL",
                values![chunk.batch_row, self.now().millis()],
            ),
        );
        self.kept().attempts_set(chunk, attempts, self.now());
        Ok(())
    }

    fn add_ended_chunks(&self, batch: RowId, ended: i64, unsuccessful: i64) -> Result<()> {
        self.write_known(
            &["batch"],
            Statement::with(
                "UPDATE batch SET chunks_ended = chunks_ended + $2, chunks_unsuccessful = chunks_unsuccessful + $3
                  WHERE task = $1",
                values![batch, ended, unsuccessful],
            ),
        );
        self.kept().chunks_ended(batch, ended, unsuccessful);
        Ok(())
    }

    fn store_response(&self, key: &str, operation: &str, fingerprint: &[u8], response: &str) -> Result<()> {
        self.write_known(
            &["stored_response"],
            Statement::with(
                "INSERT INTO stored_response (request_key, operation, fingerprint, response, created_at) VALUES ($1, $2, $3, $4, $5)",
                values![key, operation, fingerprint, response, self.now().millis()],
            ),
        );
        Ok(())
    }

    fn update_search_index(&self) -> Result<bool> {
        // Words are indexed with the row.
        Ok(true)
    }
}
