//! Builders of tasks and batches.

use tasktally::error::Result;
use tasktally::model::batch::{Batch, Chunk, ItemCounts};
use tasktally::model::conflict::OnConflict;
use tasktally::model::content_hash::{NO_ITEMS, items_hash};
use tasktally::model::id::TaskId;
use tasktally::model::in_doubt::InDoubtPolicy;
use tasktally::model::status::{Status, TaskType};
use tasktally::model::step::{Checkpoint, Reviewers, Step, Steps};
use tasktally::model::task::{RowId, Task};
use tasktally::model::timestamp::Timestamp;
use tasktally::store::{NewTask, StoreWrite};

use crate::stores::TestStore;

/// A task with this title, before it is inserted.
pub(crate) fn new_task(title: &str) -> Task {
    Task::new(Timestamp::from_millis(0), title)
}

/// Inserts a task with an initial text and returns it as the store has it.
pub(crate) fn insert(tx: &dyn StoreWrite, task: &Task, initial_text: &str) -> Result<Task> {
    let row = tx.insert_task(&NewTask { task, initial_text })?;
    tx.task_by_row(row)
}

/// The key of an item, by the numbers of its chunk and of its position.
pub(crate) fn key(chunk: u64, position: u64) -> String {
    format!("{chunk}.{position}")
}

/// The fields of the item with this key.
pub(crate) fn fields(key: &str) -> String {
    format!(r#"{{"id":"{key}"}}"#)
}

/// Steps with these names.
pub(crate) fn steps(names: &[&str]) -> Steps {
    let step = |name: &&str| Step {
        name: name.parse().unwrap(),
        instructions: format!("do {name}").parse().unwrap(),
        only_categories: Vec::new(),
    };
    Steps::new(names.iter().map(step).collect()).unwrap()
}

/// A batch to insert. Chunk 1 has the items `1.1`, `1.2` and so on.
#[derive(Clone)]
pub(crate) struct BatchPlan {
    /// The task of the batch.
    pub(crate) task: Task,
    /// The batch. Its row and its counts are set when it is inserted.
    pub(crate) batch: Batch,
    /// How many items each chunk has.
    pub(crate) items: Vec<u64>,
}

impl BatchPlan {
    /// A batch of so many chunks with so many items each.
    pub(crate) fn of(chunks: usize, items: u64) -> Self {
        let task = Task {
            task_type: TaskType::Epic,
            status: Status::InProgress,
            is_batch: true,
            ..new_task("batch")
        };
        BatchPlan { task, batch: plain_batch(), items: vec![items; chunks] }
    }

    /// The same with a title.
    pub(crate) fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.task.title);
        self
    }

    /// The same in a project.
    pub(crate) fn in_project(mut self, project: &str) -> Self {
        self.task.project = Some(project.to_owned());
        self
    }

    /// The same with steps of these names.
    pub(crate) fn with_steps(mut self, names: &[&str]) -> Self {
        self.batch.steps = steps(names);
        self
    }

    /// The task of a chunk of this batch.
    pub(crate) fn chunk_task(&self, batch: RowId, number: u64) -> Task {
        Task {
            parent_row: Some(batch),
            project: self.task.project.clone(),
            order: number.cast_signed(),
            is_chunk: true,
            id: self.task.id.chunk(number, 2),
            ..new_task(&format!("chunk {number}"))
        }
    }

    /// The batch for its row.
    pub(crate) fn batch_in(&self, row: RowId) -> Batch {
        let counts = ItemCounts { total: self.items.iter().sum(), ..ItemCounts::default() };
        Batch { row, chunk_count: self.items.len() as u64, counts, ..self.batch.clone() }
    }

    /// Inserts the batch with its chunks and items.
    pub(crate) fn insert(&self, tx: &dyn StoreWrite) -> Result<BuiltBatch> {
        let row = tx.insert_task(&NewTask { task: &self.task, initial_text: &self.batch.instructions })?;
        tx.insert_batch(&self.batch_in(row))?;
        let mut chunks = Vec::new();
        for (number, items) in (1..).zip(&self.items) {
            let task = insert(tx, &self.chunk_task(row, number), "")?;
            insert_items(tx, (row, &self.task.id), task.row, number, *items)?;
            chunks.push(task);
        }
        Ok(BuiltBatch { task: tx.task_by_row(row)?, chunks })
    }
}

/// Inserts the chunk of a task, and its items.
fn insert_items(
    tx: &dyn StoreWrite,
    batch: (RowId, &TaskId),
    row: RowId,
    number: u64,
    items: u64,
) -> Result<()> {
    tx.insert_chunk(&Chunk::new(row, batch, number, &format!("span {number}"), items))?;
    let (mut bytes, mut hash) = (0, NO_ITEMS);
    for position in 1..=items {
        let key = key(number, position);
        let fields = fields(&key);
        tx.insert_item(batch.0, row, position, &key, &fields)?;
        bytes += (key.len() + fields.len()) as u64;
        hash = items_hash(&hash, &key, &fields);
    }
    tx.finish_items(batch.0, row, bytes, Some(&hash))
}

/// A batch with defaults.
fn plain_batch() -> Batch {
    Batch {
        row: 0,
        instructions: "sort each mail".to_owned(),
        key_field: "id".to_owned(),
        split: "count:10".to_owned(),
        max_chunk: 10,
        max_parallel: 4,
        max_attempts: 3,
        run: None,
        chunk_count: 0,
        ended_chunks: 0,
        unsuccessful_chunks: 0,
        counts: ItemCounts::default(),
        started: None,
        steps: Steps::default(),
        checkpoint: Checkpoint::None,
        review: Reviewers::Any,
        auto_approve_after: None,
        approved_in_a_row: 0,
        max_failures: None,
        forgiven_failures: 0,
        accepted_failures: 0,
        pause_reason: None,
        finish_row: None,
        in_doubt: InDoubtPolicy::Retry,
        profile: None,
        on_conflict: Some(OnConflict::Allow),
        resources: Vec::new(),
    }
}

/// The tasks of an inserted batch.
#[derive(Clone)]
pub(crate) struct BuiltBatch {
    /// The task of the batch.
    pub(crate) task: Task,
    /// The tasks of its chunks, in order.
    pub(crate) chunks: Vec<Task>,
}

impl BuiltBatch {
    /// The row of the batch.
    pub(crate) fn row(&self) -> RowId {
        self.task.row
    }

    /// The row of the chunk with this number, from 1.
    pub(crate) fn chunk(&self, number: usize) -> RowId {
        self.chunks[number - 1].row
    }
}

impl TestStore {
    /// Inserts a task with this title.
    pub(crate) fn task(&self, title: &str) -> Task {
        self.add(new_task(title))
    }

    /// Inserts a task without an initial text.
    pub(crate) fn add(&self, task: Task) -> Task {
        self.write(move |tx| insert(tx, &task, "")).unwrap()
    }

    /// Inserts a batch.
    pub(crate) fn batch(&self, plan: BatchPlan) -> BuiltBatch {
        self.write(move |tx| plan.insert(tx)).unwrap()
    }
}
