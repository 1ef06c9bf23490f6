//! Who works batches in the background.

use crate::error::Result;
use crate::model::share::FairShare;
use crate::model::task::Row;
use crate::model::timestamp::Timestamp;

/// A process that works a batch, or did when it died.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The batch.
    pub batch: Row,
    /// What is in the environment of all that it starts.
    pub nonce: String,
    /// The profile that it starts workers by.
    pub profile: String,
    /// Its process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it began.
    pub since: Timestamp,
    /// Its last sign of life.
    pub seen: Timestamp,
    /// What it waits for.
    pub note: Option<String>,
}

/// What is read of runners.
pub trait ReadRunners {
    /// The runner of a batch.
    fn runner(&self, batch: Row) -> Result<Option<Runner>>;
    /// All runners that are on record.
    fn runners(&self) -> Result<Vec<Runner>>;
    /// What each runner has and wants, with its last sign of life.
    fn stakes(&self) -> Result<Vec<(FairShare, Timestamp)>>;
    /// Why a profile starts no workers, where it is paused.
    fn profile_pause(&self, profile: &str) -> Result<Option<String>>;
    /// How many workers a profile has started since a moment, and when the first of them.
    fn starts_since(&self, profile: &str, since: Timestamp) -> Result<(u64, Option<Timestamp>)>;
}

/// What is written of runners.
pub trait WriteRunners {
    /// Names the profile that a batch is worked by.
    fn set_worker(&self, batch: Row, profile: &str) -> Result<()>;
    /// Puts a runner in the place of the one before; it has nothing yet.
    fn insert_runner(&self, runner: &Runner) -> Result<()>;
    /// A sign of life, and what the runner waits for.
    fn runner_lives(&self, batch: Row, note: Option<&str>) -> Result<()>;
    /// What a runner has and wants.
    fn set_stake(&self, batch: Row, held: u64, wants: bool) -> Result<()>;
    /// Takes a runner away; another one that has come in its place stays.
    fn remove_runner(&self, batch: Row, nonce: &str) -> Result<()>;
    /// Lets a profile start no workers, or again.
    fn pause_profile(&self, profile: &str, reason: Option<&str>) -> Result<()>;
    /// Takes note that a profile starts a worker, and forgets those before a moment.
    fn record_start(&self, profile: &str, before: Timestamp) -> Result<()>;
}
