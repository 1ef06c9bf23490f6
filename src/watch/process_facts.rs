//! Whether the processes that work on a batch live, and what continues the batch if they have died.

use super::board::{BatchHeader, WorkerRow};
use super::format::{duration, seconds_between};
use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus};
use crate::model::field::visible_excerpt;
use crate::model::id::{TaskId, Token};
use crate::model::task::Task;
use crate::model::timestamp::Timestamp;
use crate::ops::{HostView, ProcessState, Session, hosts_at_work};
use crate::store::{RunnerRecord, StoreRead};
use crate::work::claim_process_state;
use crate::work::leftovers::has_live_runner;

/// After how many seconds without a heartbeat a runner's silence is shown.
const SILENT_AFTER: u64 = 20;
/// The most characters of a name or a reason.
const CHARS: usize = 200;

/// What the store records about the processes of a batch.
pub(super) struct ProcessFacts {
    batch: TaskId,
    runner: Option<RunnerRecord>,
    has_profile: bool,
    /// Whether `tasktally run` made the batch.
    made_by_run: bool,
    /// The machines whose processes work on it, if several machines share the store.
    hosts: Vec<HostView>,
}

impl ProcessFacts {
    /// Reads the records.
    pub(super) fn read(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Self> {
        Ok(ProcessFacts {
            batch: task.id.clone(),
            runner: tx.runner(task.row)?,
            has_profile: batch.profile.is_some(),
            made_by_run: batch.run.is_some(),
            hosts: hosts_at_work(tx, task)?,
        })
    }

    /// Checks the processes: marks the workers whose process has died, and describes the runner and what is wrong in
    /// the header. A dead process has no time left, so the estimate is removed with it.
    ///
    /// # Errors
    /// A lock file cannot be read.
    pub(super) fn check(
        &self,
        session: &Session,
        prefix: &str,
        header: &mut BatchHeader,
        workers: Vec<(WorkerRow, Option<Token>)>,
    ) -> Result<Vec<WorkerRow>> {
        let (data, batch) = (session.folder().to_owned(), self.batch.clone());
        let checked = session.read(move |tx| {
            let mut checked = Vec::new();
            for (mut worker, token) in workers {
                if let Some(token) = token {
                    let state = claim_process_state(tx, &data, &batch, &token)?;
                    worker.has_died = state == ProcessState::Dead;
                }
                checked.push(worker);
            }
            Ok(checked)
        })?;
        let dead = checked.iter().filter(|worker| worker.has_died).count();
        let has_runner = has_live_runner(session, &self.batch)?;
        header.runner = self.runner_line(has_runner, header.now).filter(|_| !header.status.is_over());
        let is_running = header.status == BatchStatus::Running;
        if is_running && !has_runner && (dead > 0 || self.has_profile) {
            header.stopped = Some(self.stopped(dead, prefix));
            if dead == checked.len() {
                (header.per_minute, header.seconds_left) = (None, None);
            }
        }
        Ok(checked)
    }

    /// How many workers each machine has, in a line.
    fn hosts_line(&self) -> Option<String> {
        let host = |host: &HostView| format!("{} on {}", host.workers, visible_excerpt(&host.host, CHARS));
        let hosts: Vec<String> = self.hosts.iter().map(host).collect();
        (!hosts.is_empty()).then(|| format!("workers: {}", hosts.join(", ")))
    }

    /// The runner that works on the batch in the background, and the machines of other processes, in a line.
    fn runner_line(&self, is_alive: bool, now: Timestamp) -> Option<String> {
        let Some(runner) = self.runner.as_ref() else { return self.hosts_line() };
        let (host, profile) = (visible_excerpt(&runner.host, CHARS), visible_excerpt(&runner.profile, CHARS));
        let name = format!("runner {} on {host}, profile {profile}", runner.pid);
        if !is_alive {
            return Some(format!("{name}: its process has ended"));
        }
        let mut line = format!("{name}, for {}", duration(seconds_between(runner.started_at, now)));
        let silence = seconds_between(runner.heartbeat_at, now);
        if silence >= SILENT_AFTER {
            line.push_str(&format!(", no heartbeat for {}", duration(silence)));
        }
        if let Some(note) = &runner.wait_reason {
            line.push_str(&format!(": {}", visible_excerpt(note, CHARS)));
        }
        if let Some(hosts) = self.hosts_line().filter(|_| self.hosts.len() > 1) {
            line.push_str(&format!("; {hosts}"));
        }
        Some(line)
    }

    /// What is wrong, and the command that takes over at once.
    fn stopped(&self, dead: usize, prefix: &str) -> String {
        let id = &self.batch;
        let problem = match dead {
            0 => "no process works on it".to_owned(),
            1 => "1 worker died".to_owned(),
            more => format!("{more} workers died"),
        };
        let remedy = match (self.has_profile, self.made_by_run) {
            (true, _) => format!("{prefix} control-batch {id} --action start"),
            (false, true) => format!("{prefix} run --resume {id}"),
            (false, false) => format!("{prefix} work --batch {id} -- COMMAND"),
        };
        format!("{problem}; to go on: {remedy}")
    }
}
