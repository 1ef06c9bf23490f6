//! The reference of the random case: what operations do to tasks and items, in memory.

use std::collections::BTreeMap;
use std::ops::Range;

use tasktally::model::status::{Outcome, Status};
use tasktally::model::task::RowId;

use crate::support::rng::Rng;

/// The number of chunks of the one batch.
pub(crate) const CHUNKS: usize = 2;
/// The number of items of each chunk.
pub(crate) const ITEMS: usize = 4;
/// The most tasks beside the batch.
const MOST_TASKS: u64 = 12;

/// The categories of items, and none.
const CATEGORIES: [Option<&str>; 3] = [None, Some("spam"), Some("mail")];

/// An operation, in a transaction of its own. Tasks, chunks and items are named by their index.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Insert { title: String, priority: i64, order: i64 },
    Move { task: usize, priority: i64, project: Option<String> },
    SetStatus { task: usize, status: Status },
    Claim { task: usize },
    Hold { task: usize },
    Release { task: usize },
    Depend { task: usize, on: Vec<usize> },
    Report { task: usize },
    Settle { chunk: usize, item: usize, outcome: Outcome, category: Option<&'static str> },
    Reopen { chunk: usize, category: Option<&'static str> },
    Retry { chunk: usize },
}

/// One of a list.
fn pick<T: Clone>(rng: &mut Rng, values: &[T]) -> T {
    values[index(rng, values.len())].clone()
}

/// An index into a list of this length.
fn index(rng: &mut Rng, length: usize) -> usize {
    usize::try_from(rng.below(length as u64)).expect("an index")
}

impl Op {
    /// An operation that is possible now.
    pub(crate) fn random(rng: &mut Rng, reference: &Reference) -> Op {
        let tasks = reference.tasks.len();
        let priority = rng.below(5).cast_signed();
        if rng.below(MOST_TASKS) >= tasks as u64 {
            let title = format!("task {tasks}");
            return Op::Insert { title, priority, order: rng.below(3).cast_signed() };
        }
        let task = index(rng, tasks);
        let chunk = index(rng, CHUNKS);
        match rng.below(12) {
            0 => Op::Move { task, priority, project: pick(rng, &[None, Some("p".to_owned())]) },
            1 => Op::SetStatus { task, status: pick(rng, Status::ALL) },
            2 => Op::SetStatus { task, status: pick(rng, &[Status::Active, Status::Done]) },
            3 => Op::Claim { task },
            4 => Op::Hold { task },
            5 if reference.tasks[task].holds > 0 => Op::Release { task },
            5 | 6 => {
                let on = (0..tasks).filter(|other| *other != task && rng.below(4) == 0).collect();
                Op::Depend { task, on }
            }
            7 => Op::Report { task },
            8 => Op::Reopen { chunk, category: pick(rng, &CATEGORIES) },
            9 => Op::Retry { chunk },
            _ => Op::Settle {
                chunk,
                item: index(rng, ITEMS),
                outcome: pick(rng, Outcome::ALL),
                category: pick(rng, &CATEGORIES),
            },
        }
    }
}

/// A task of the reference.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceTask {
    pub(crate) row: RowId,
    title: String,
    pub(crate) status: Status,
    pub(crate) priority: i64,
    order: i64,
    pub(crate) project: Option<String>,
    pub(crate) generation: u64,
    pub(crate) receipts: u64,
    pub(crate) holds: i64,
    /// The unfinished dependencies and the holds.
    pub(crate) blockers: i64,
    depends_on: Vec<usize>,
    /// The number of its last change.
    change: u64,
}

/// The outcome of an item, with its category.
pub(crate) type Settled = Option<(Outcome, Option<String>)>;

/// The tasks, and the items of the chunks.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) tasks: Vec<ReferenceTask>,
    pub(crate) items: Vec<Vec<Settled>>,
    changes: u64,
}

impl Default for Reference {
    fn default() -> Self {
        Reference { tasks: Vec::new(), items: vec![vec![None; ITEMS]; CHUNKS], changes: 0 }
    }
}

impl Reference {
    /// Whether an operation is refused as a conflict.
    pub(crate) fn refuses(&self, op: &Op) -> bool {
        matches!(op, Op::Settle { chunk, item, .. } if self.items[*chunk][*item].is_some())
    }

    /// Runs an operation; `row` is that of a new task.
    pub(crate) fn apply(&mut self, op: &Op, row: Option<RowId>) {
        match op {
            Op::Insert { title, priority, order } => self.insert(title, *priority, *order, row),
            Op::Move { task, priority, project } => {
                self.tasks[*task].priority = *priority;
                self.tasks[*task].project.clone_from(project);
                self.change(*task);
            }
            Op::SetStatus { task, status } => self.set_status(*task, *status),
            Op::Claim { task } => {
                self.tasks[*task].generation += 1;
                self.set_status(*task, Status::InProgress);
            }
            Op::Hold { task } => self.hold(*task, 1),
            Op::Release { task } => self.hold(*task, -self.tasks[*task].holds),
            Op::Depend { task, on } => {
                self.tasks[*task].depends_on.clone_from(on);
                self.recount(*task);
            }
            Op::Report { task } => {
                self.tasks[*task].receipts += 1;
                self.change(*task);
            }
            Op::Settle { chunk, item, outcome, category } => {
                self.items[*chunk][*item] = Some((*outcome, category.map(str::to_owned)));
            }
            Op::Reopen { chunk, category } => {
                self.open(*chunk, |_, name| category.is_none_or(|category| category == name));
            }
            Op::Retry { chunk } => self.open(*chunk, |outcome, _| outcome == Outcome::Failed),
        }
    }

    fn insert(&mut self, title: &str, priority: i64, order: i64, row: Option<RowId>) {
        self.tasks.push(ReferenceTask {
            row: row.expect("a new task has a row"),
            title: title.to_owned(),
            status: Status::Active,
            priority,
            order,
            project: None,
            generation: 0,
            receipts: 0,
            holds: 0,
            blockers: 0,
            depends_on: Vec::new(),
            change: 0,
        });
        self.change(self.tasks.len() - 1);
    }

    fn change(&mut self, task: usize) {
        self.changes += 1;
        self.tasks[task].change = self.changes;
    }

    fn hold(&mut self, task: usize, by: i64) {
        self.tasks[task].holds += by;
        self.tasks[task].blockers += by;
        self.change(task);
    }

    fn set_status(&mut self, task: usize, status: Status) {
        self.tasks[task].status = status;
        self.change(task);
        for other in 0..self.tasks.len() {
            if self.tasks[other].depends_on.contains(&task) {
                self.recount(other);
            }
        }
    }

    fn recount(&mut self, task: usize) {
        let is_open = |other: &&usize| self.tasks[**other].status != Status::Done;
        let open = self.tasks[task].depends_on.iter().filter(is_open).count();
        self.tasks[task].blockers = self.tasks[task].holds + i64::try_from(open).expect("a small number");
        self.change(task);
    }

    /// Opens the items of a chunk that `is_selected` selects by their outcome and the name of their category.
    fn open(&mut self, chunk: usize, is_selected: impl Fn(Outcome, &str) -> bool) {
        for item in &mut self.items[chunk] {
            if item
                .as_ref()
                .is_some_and(|(outcome, category)| is_selected(*outcome, name(*outcome, category)))
            {
                *item = None;
            }
        }
    }

    /// The titles of the tasks that meet a condition, as a list shows them.
    pub(crate) fn list(&self, condition: impl Fn(&ReferenceTask) -> bool) -> Vec<String> {
        let mut found: Vec<&ReferenceTask> = self.tasks.iter().filter(|task| condition(task)).collect();
        found.sort_by_key(|task| (task.priority, task.order, task.row));
        found.into_iter().map(|task| task.title.clone()).collect()
    }

    /// The titles of the tasks in the order of their last changes.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut found: Vec<&ReferenceTask> = self.tasks.iter().collect();
        found.sort_by_key(|task| task.change);
        found.into_iter().map(|task| task.title.clone()).collect()
    }

    /// The counts of the categories of some chunks, in the order of their names.
    pub(crate) fn categories(&self, chunks: Range<usize>) -> Vec<(String, u64)> {
        let mut counts = BTreeMap::new();
        for (outcome, category) in self.items[chunks].iter().flatten().flatten() {
            *counts.entry(name(*outcome, category).to_owned()).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    /// How many items have this outcome.
    pub(crate) fn count(&self, wanted: Outcome) -> u64 {
        let settled = self.items.iter().flatten().flatten();
        settled.filter(|(outcome, _)| *outcome == wanted).count() as u64
    }
}

/// The name under which an item is counted.
fn name(outcome: Outcome, category: &Option<String>) -> &str {
    category.as_deref().unwrap_or(outcome.as_str())
}
