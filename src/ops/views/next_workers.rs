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
    let open = match numbers.as_slice() {
        [only] => format!("chunk {only} is open now"),
        _ if count > READ as u64 => format!("{count} chunks are open now"),
        _ => format!("{count} chunks are open now ({})", ranges(&numbers, RANGES)),
    };
    let workers = demand.workers(batch);
    let at_work = match demand.at_work {
        0 => "no worker is at work".to_owned(),
        count => format!("{} {} at work", counted(count, "worker"), agreeing(count, "is", "are")),
    };
    let start = match workers {
        0 => "as many as max_parallel allows".to_owned(),
        _ if batch.run.is_some() => format!("tasktally run --resume {} works them", task.id),
        _ if demand.at_work == 0 => format!("start {} with worker_prompt", counted(workers, "worker")),
        // Those at work claim these chunks, too.
        _ => format!("start up to {workers} more with worker_prompt"),
    };
    Ok(Some(NextWorkers {
        sentence: format!("; {open}, {at_work}: {start}"),
        prompt: (workers > 0 && batch.run.is_none()).then(|| work_chunk(&task.id, worker_needs(batch))),
    }))
}

/// What the prompt of a batch's workers has to mention.
pub(in crate::ops) fn worker_needs(batch: &Batch) -> WorkerNeeds {
    WorkerNeeds::new(&batch.instructions, &batch.steps, batch.in_doubt)
}
