//! Runners of batches, their heartbeats and permits, and the worker starts of profiles.

use crate::error::Result;
use crate::model::fair_share::FairShare;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;

/// The process that starts background workers for a batch. The record of a dead runner stays until its successor
/// has cleaned up; the run lock tells whether the process is alive.
#[derive(Debug, Clone)]
pub struct RunnerRecord {
    /// The batch.
    pub batch: RowId,
    /// A random value in the environment of every process that it starts.
    pub run_marker: String,
    /// The profile that it starts workers with.
    pub profile: String,
    /// Its process id.
    pub pid: u32,
    /// The name of its machine.
    pub host: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it last wrote a heartbeat.
    pub heartbeat_at: Timestamp,
    /// What it waits for, if it does.
    pub wait_reason: Option<String>,
}

/// Reads runners and profiles.
pub trait RunnerRead {
    /// The recorded runner of a batch.
    fn runner(&self, batch: RowId) -> Result<Option<RunnerRecord>>;
    /// All recorded runners.
    fn runners(&self) -> Result<Vec<RunnerRecord>>;
    /// The concurrency permits of every runner, with the time of its last heartbeat.
    fn fair_shares(&self) -> Result<Vec<(FairShare, Timestamp)>>;
    /// Why a profile is paused, if it is.
    fn profile_pause_reason(&self, profile: &str) -> Result<Option<String>>;
    /// How many workers a profile has started since a time, and when it started the first of them.
    fn worker_starts_since(&self, profile: &str, since: Timestamp) -> Result<(u64, Option<Timestamp>)>;
}

/// Writes runners and profiles.
pub trait RunnerWrite {
    /// Sets the profile that the batch's background workers run with.
    fn set_worker_profile(&self, batch: RowId, profile: &str) -> Result<()>;
    /// Records a runner, in place of an earlier one of the same batch. It holds no permits.
    fn replace_runner(&self, runner: &RunnerRecord) -> Result<()>;
    /// Records a heartbeat of a runner, and what it waits for.
    fn record_runner_heartbeat(&self, batch: RowId, wait_reason: Option<&str>) -> Result<()>;
    /// Records how many concurrency permits a runner holds and whether it wants one more.
    fn set_fair_share(&self, batch: RowId, held: u64, wants: bool) -> Result<()>;
    /// Deletes the record of a runner, unless another runner has replaced it.
    fn delete_runner(&self, batch: RowId, run_marker: &str) -> Result<()>;
    /// Pauses a profile for a reason, or ends its pause.
    fn set_profile_pause(&self, profile: &str, reason: Option<&str>) -> Result<()>;
    /// Records that a profile starts a worker now, and deletes its records up to `before`.
    fn record_worker_start(&self, profile: &str, before: Timestamp) -> Result<()>;
}
