//! Which workers a batch needs now, if its caller has to start them.

use super::worker_demand::WorkerDemand;
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::chunk_names::ranges;
use crate::model::task::Task;
use crate::model::text::{agreeing, counted};
use crate::prompts::{WorkerNeeds, work_chunk};
use crate::store::{StoreRead, TaskFilter};

/// The most chunks that are read to name the open ones.
const READ: usize = 200;
/// The most ranges of open chunks that are named.
const RANGES: usize = 8;

/// The workers to start.
pub(in crate::ops) struct NextWorkers {
    /// The end of the reply's message.
    pub(in crate::ops) sentence: String,
    /// The prompt for each of them; `None` if the caller has none to start.
    pub(in crate::ops) prompt: Option<String>,
}

/// The workers to start for the chunks that can be claimed now. `None` if there are no such chunks, or the batch has a
/// profile, whose runner starts workers by itself.
pub(in crate::ops) fn next_workers(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
) -> Result<Option<NextWorkers>> {
    if batch.profile.is_some() {
        return Ok(None);
    }
    let demand = WorkerDemand::of(tx, task, batch)?;
    let count = demand.open;
    if count == 0 {
        return Ok(None);
    }
    let ready = TaskFilter { ready: true, ..TaskFilter::children_of(task.row) };
    let mut numbers = Vec::new();
    for chunk in tx.list(&ready, None, READ)? {
        numbers.extend(tx.chunk(&chunk)?.map(|chunk| chunk.number));
    }
    let named = if count > READ as u64 { String::new() } else { format!(" ({})", ranges(&numbers, RANGES)) };
    let workers = demand.workers(batch);
    let open = format!("{} {}", counted(count, "chunk"), agreeing(count, "is", "are"));
    let start = match workers {
        0 => format!("{} at work, as many as max_parallel allows", counted(demand.at_work, "worker")),
        _ if batch.run.is_some() => format!("tasktally run --resume {} works them", task.id),
        _ => format!(
            "start {} with worker_prompt, unless you have just started them",
            counted(workers, "worker")
        ),
    };
    Ok(Some(NextWorkers {
        sentence: format!("; {open} open now{named}: {start}"),
        prompt: (workers > 0 && batch.run.is_none()).then(|| work_chunk(&task.id, worker_needs(batch))),
    }))
}

/// What the prompt of a batch's workers has to mention.
pub(in crate::ops) fn worker_needs(batch: &Batch) -> WorkerNeeds {
    WorkerNeeds::new(&batch.instructions, &batch.steps, batch.in_doubt)
}
