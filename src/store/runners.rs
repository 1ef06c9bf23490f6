//! Who works batches in the background.

use crate::error::Result;
use crate::model::share::FairShare;
use crate::model::task::Row;
use crate::model::timestamp::Timestamp;

/// A process that works a batch, or did when it died.
#[derive(Debug, Clone)]
pub struct RunnerRecord {
    /// The batch.
    pub batch: Row,
    /// What is in the environment of all that it starts.
    pub run_marker: String,
    /// The profile that it starts workers by.
    pub profile: String,
    /// Its process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub heartbeat_at: Timestamp,
    /// What it waits for.
    pub wait_reason: Option<String>,
}

/// What is read of runners.
pub trait RunnerRead {
    /// The runner of a batch.
    fn runner(&self, batch: Row) -> Result<Option<RunnerRecord>>;
    /// All runners that are on record.
    fn runners(&self) -> Result<Vec<RunnerRecord>>;
    /// What each runner has and wants, with its last sign of life.
    fn fair_shares(&self) -> Result<Vec<(FairShare, Timestamp)>>;
    /// Why a profile starts no workers, where it is paused.
    fn profile_pause_reason(&self, profile: &str) -> Result<Option<String>>;
    /// How many workers a profile has started since a moment, and when the first of them.
    fn worker_starts_since(&self, profile: &str, since: Timestamp) -> Result<(u64, Option<Timestamp>)>;
}

/// What is written of runners.
pub trait RunnerWrite {
    /// Names the profile that a batch is worked by.
    fn set_worker_profile(&self, batch: Row, profile: &str) -> Result<()>;
    /// Puts a runner in the place of the one before; it has nothing yet.
    fn replace_runner(&self, runner: &RunnerRecord) -> Result<()>;
    /// A sign of life, and what the runner waits for.
    fn record_runner_heartbeat(&self, batch: Row, note: Option<&str>) -> Result<()>;
    /// What a runner has and wants.
    fn set_fair_share(&self, batch: Row, held: u64, wants: bool) -> Result<()>;
    /// Takes a runner away; another one that has come in its place stays.
    fn delete_runner(&self, batch: Row, run_marker: &str) -> Result<()>;
    /// Lets a profile start no workers, or again.
    fn set_profile_pause(&self, profile: &str, reason: Option<&str>) -> Result<()>;
    /// Takes note that a profile starts a worker, and forgets those before a moment.
    fn record_worker_start(&self, profile: &str, before: Timestamp) -> Result<()>;
}
