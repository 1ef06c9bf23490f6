//! Loads the rows that requests work on, many in one round trip: tasks with their chunks, last receipts, started items, batches
//! and dependents, and items.

use std::cell::RefMut;

use super::Tx;
use super::entities::{Entities, LastReceipt};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::id::TaskId;
use crate::model::task::{RowId, Task};
use crate::store::Subject;
use crate::store::postgres::connection::Results;
use crate::store::postgres::read::chunk_columns;
use crate::store::postgres::statement::Statement;
use crate::store::postgres::value::values;
use crate::store::rows::StoredRow as _;
use crate::store::rows::{self, batch_columns, item_columns, task_columns};

/// How many subjects are loaded at once.
const MAX_SUBJECTS: usize = 256;

/// The rows of the tasks that are wanted: by their ids `$1`, and by their rows `$2`.
macro_rules! wanted {
    () => {
        "ARRAY(SELECT row_id FROM task WHERE id = ANY($1) UNION ALL SELECT unnest($2))"
    };
}

/// The batches of wanted chunks, and wanted batches.
macro_rules! wanted_batches {
    () => {
        concat!(
            "ARRAY(SELECT CASE role WHEN 'chunk' THEN parent ELSE row_id END FROM task WHERE row_id = ANY(",
            wanted!(),
            "))"
        )
    };
}

const TASKS: &str = concat!("SELECT ", task_columns!(), " FROM task t WHERE t.row_id = ANY(", wanted!(), ")");
const CHUNKS: &str =
    concat!("SELECT ", chunk_columns!(), " FROM chunk c WHERE c.task = ANY(", wanted!(), ")");
const LAST_RECEIPTS: &str = concat!(
    "SELECT r.task, r.number, r.hash FROM task t JOIN receipt r ON r.task = t.row_id AND r.number = t.receipt_count
      WHERE t.row_id = ANY(",
    wanted!(),
    ")"
);
const STARTED: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM chunk c JOIN item i ON i.batch = c.batch AND i.chunk = c.task AND i.started_receipt IS NOT NULL
      WHERE c.task = ANY(",
    wanted!(),
    ") ORDER BY i.chunk, i.position"
);
const BATCH_TASKS: &str =
    concat!("SELECT ", task_columns!(), " FROM task t WHERE t.row_id = ANY(", wanted_batches!(), ")");
const BATCHES: &str =
    concat!("SELECT ", batch_columns!(), " FROM batch b WHERE b.task = ANY(", wanted_batches!(), ")");
const DEPENDENTS: &str =
    concat!("SELECT depends_on, task FROM dependency WHERE soft = 0 AND depends_on = ANY(", wanted!(), ")");
/// The items with the keys `$2` of the chunks with the ids `$1`. With a join for the batch, PostgreSQL looks at all its items.
const ITEMS: &str = concat!(
    "SELECT ",
    item_columns!(),
    ", i.batch FROM unnest($1, $2) AS w (id, key)
               JOIN item i ON i.batch = (SELECT t.parent FROM task t WHERE t.id = w.id) AND i.key = w.key
               JOIN chunk c ON c.task = i.chunk"
);

/// What is loaded.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Whether the batches of chunks and the dependents of tasks are loaded: a receipt needs neither.
    is_whole: bool,
    tasks: Vec<String>,
    rows: Vec<RowId>,
    item_tasks: Vec<String>,
    item_keys: Vec<String>,
}

impl Load {
    fn of_row(row: RowId) -> Self {
        Load { rows: vec![row], is_whole: true, ..Load::default() }
    }

    /// The rows that are kept.
    pub(super) fn again(kept: &Entities) -> Self {
        let rows = kept.tasks.keys().chain(kept.chunks.keys()).chain(kept.batches.keys()).copied().collect();
        let mut load = Load { rows, is_whole: true, ..Load::default() };
        for item in kept.items.values().flat_map(|items| items.values()) {
            if let Some(task) = kept.tasks.get(&item.chunk_row) {
                load.item_tasks.push(task.id.as_str().to_owned());
                load.item_keys.push(item.key.clone());
            }
        }
        load
    }

    fn add(&mut self, subject: &Subject) {
        let Some(task) = &subject.task else { return };
        self.tasks.push(task.as_str().to_owned());
        self.is_whole |= subject.item.is_none();
        if let Some(key) = &subject.item {
            self.item_tasks.push(task.as_str().to_owned());
            self.item_keys.push(key.clone());
        }
    }

    /// The statements; [`Entities::keep_loaded`] reads their results.
    pub(super) fn statements(&self) -> Vec<Statement> {
        let wanted = |sql| Statement::with(sql, values![self.tasks, self.rows]);
        let mut statements: Vec<Statement> = [TASKS, CHUNKS, LAST_RECEIPTS, STARTED].map(wanted).into();
        if self.is_whole {
            statements.extend([BATCH_TASKS, BATCHES, DEPENDENTS].map(wanted));
        }
        if !self.item_tasks.is_empty() {
            statements.push(Statement::with(ITEMS, values![self.item_tasks, self.item_keys]));
        }
        statements
    }
}

impl Entities {
    /// Keeps what was loaded.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub(super) fn keep_loaded(&mut self, load: &Load, results: Results) -> Result<()> {
        let mut results = results.into_iter();
        let mut next = || results.next().unwrap_or_default();
        for row in next() {
            let task = rows::task(&row)?;
            if load.is_whole {
                self.begin_dependents(task.row);
            }
            self.keep_task(task);
        }
        for row in next() {
            self.keep_chunk(rows::chunk(&row, 0)?);
        }
        for row in next() {
            let hash = row.hash(2)?.ok_or_else(|| Error::new(Code::Internal, "a receipt has no hash"))?;
            self.keep_last_receipt(row.get(0)?, (row.get(1)?, hash));
        }
        for row in next() {
            self.keep_started(rows::item(&row)?);
        }
        if load.is_whole {
            for row in next() {
                self.keep_task(rows::task(&row)?);
            }
            for row in next() {
                self.keep_batch(rows::batch(&row)?);
            }
            for row in next() {
                self.keep_dependent(row.get(0)?, row.get(1)?);
            }
        }
        for row in next() {
            self.keep_item(row.get(10)?, rows::item(&row)?);
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// What the next exchange loads: what the next requests are about, if that is not known.
    pub(super) fn next_load(&self) -> Option<Load> {
        if !self.loads_subjects.replace(false) {
            return None;
        }
        let mut load = Load::default();
        self.subjects.borrow().iter().rev().take(MAX_SUBJECTS).for_each(|subject| load.add(subject));
        Some(load)
    }

    /// What is known, or is known after the rows of a task were loaded. `None` in a transaction that only reads: its queries
    /// follow each other as they did the last time.
    fn known<T>(
        &self,
        find: impl Fn(&Entities) -> Option<T>,
        load: impl FnOnce() -> Load,
    ) -> Result<Option<T>> {
        if !self.writes() {
            return Ok(None);
        }
        let known = find(&self.entities.borrow());
        if known.is_some() {
            return Ok(known);
        }
        if self.loads_subjects.get() {
            self.exchange(Vec::new())?;
            let known = find(&self.entities.borrow());
            if known.is_some() {
                return Ok(known);
            }
        }
        self.load(&load(), Vec::new())?;
        Ok(find(&self.entities.borrow()))
    }

    /// Loads rows, and asks queries in the same round trip.
    fn load(&self, load: &Load, queries: Vec<Statement>) -> Result<()> {
        let mut statements = load.statements();
        let loaded = statements.len();
        statements.extend(queries.iter().cloned());
        let mut results = self.exchange(statements)?;
        self.keep_results(queries, results.split_off(loaded));
        self.entities.borrow_mut().keep_loaded(load, results)
    }

    /// Loads a task with everything about it, and asks queries in the same round trip, unless the task is known.
    pub(in crate::store::postgres) fn load_with(&self, row: RowId, queries: Vec<Statement>) -> Result<()> {
        if !self.writes() || self.entities.borrow().last_receipt(row).is_some() {
            return Ok(());
        }
        self.load(&Load::of_row(row), queries)
    }

    /// The rows that the transaction keeps.
    pub(in crate::store::postgres) fn kept(&self) -> RefMut<'_, Entities> {
        self.entities.borrow_mut()
    }

    /// A task, if it exists.
    pub(in crate::store::postgres) fn known_task(&self, id: &TaskId) -> Result<Option<Task>> {
        let load = || Load { tasks: vec![id.as_str().to_owned()], is_whole: true, ..Load::default() };
        self.known(|entities| entities.task(id).cloned(), load)
    }

    /// A task, if it exists.
    pub(in crate::store::postgres) fn known_task_by_row(&self, row: RowId) -> Result<Option<Task>> {
        self.known(|entities| entities.task_by_row(row).cloned(), || Load::of_row(row))
    }

    /// The chunk of a task, if it is one.
    pub(in crate::store::postgres) fn known_chunk(&self, row: RowId) -> Result<Option<Chunk>> {
        self.known(|entities| entities.chunk(row).cloned(), || Load::of_row(row))
    }

    /// The batch of a task, if it is one.
    pub(in crate::store::postgres) fn known_batch(&self, row: RowId) -> Result<Option<Batch>> {
        self.known(|entities| entities.batch(row).cloned(), || Load::of_row(row))
    }

    /// The number and the hash of the last receipt of a task.
    pub(in crate::store::postgres) fn known_last_receipt(&self, row: RowId) -> Result<Option<LastReceipt>> {
        self.known(|entities| entities.last_receipt(row), || Load::of_row(row))
    }

    /// The started items of a chunk.
    pub(in crate::store::postgres) fn known_started(&self, chunk: RowId) -> Result<Option<Vec<StoredItem>>> {
        self.known(|entities| entities.started(chunk).cloned(), || Load::of_row(chunk))
    }

    /// The tasks that wait for a task.
    pub(in crate::store::postgres) fn known_dependents(&self, row: RowId) -> Result<Option<Vec<RowId>>> {
        self.known(|entities| entities.hard_dependents(row).cloned(), || Load::of_row(row))
    }

    /// An item that was loaded.
    pub(in crate::store::postgres) fn known_item(&self, batch: RowId, key: &str) -> Option<StoredItem> {
        self.entities.borrow().item(batch, key).cloned()
    }

    /// Keeps an item that a query returned.
    pub(in crate::store::postgres) fn keep_item(&self, batch: RowId, item: &StoredItem) {
        if self.writes() {
            self.entities.borrow_mut().keep_item(batch, item.clone());
        }
    }
}
