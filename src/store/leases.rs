//! Leases: who does what only one process may do at a time, over all machines that use a store.
//!
//! A lease is a row. Only the database's time decides whether it is live. Its fence is a number that grows with each holder: a
//! transaction that checks the fence writes nothing for a process that was replaced. A store in a file has no leases: there,
//! the kernel releases the lock file of a process that dies.

use crate::error::Result;
use crate::model::id::{ProcessMark, TaskId};
use crate::model::task::RowId;

/// What a lease is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseName {
    /// Inserting a large batch.
    Bulk,
    /// Working a batch as its runner, or as `tasktally run`.
    Run(TaskId),
    /// Being the `tasktally work` process with this mark.
    Process(ProcessMark),
}

impl LeaseName {
    /// The prefix of the names of processes.
    pub(super) const PROCESS_PREFIX: &'static str = "work:";

    /// The name as it is stored.
    pub fn as_text(&self) -> String {
        match self {
            LeaseName::Bulk => "bulk".to_owned(),
            LeaseName::Run(batch) => format!("run:{batch}"),
            LeaseName::Process(mark) => format!("{}{mark}", LeaseName::PROCESS_PREFIX),
        }
    }

    /// Whether another process may hold the lease later, so that its fence has to be kept.
    pub(super) fn is_reused(&self) -> bool {
        !matches!(self, LeaseName::Process(_))
    }
}

/// A process that holds a lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The name of its machine.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// Identifies one start of the machine, and the data folder. A process with the same place has acquired the lock file of
    /// the holder, which is therefore dead, and takes the lease over at once. If it is empty, no process does so.
    pub place: String,
}

/// A lease as the store has it.
#[derive(Debug, Clone)]
pub struct LeaseRecord {
    /// The process that acquired it last.
    pub holder: LeaseHolder,
    /// Grows with each holder.
    pub fence: u64,
    /// Whether it has not ended, by the database's time.
    pub is_live: bool,
}

/// A lease that a process acquired: a transaction that finds another number writes nothing for the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The lease.
    pub name: LeaseName,
    /// Its number.
    pub number: u64,
    /// The name of the holder's machine.
    pub host: String,
}

/// The state of a lease as its holder knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It lasts.
    Held,
    /// It could not be renewed for so long that everything that needs it has to end now. It does not become `Held` again.
    Ending,
    /// Another process has it, or may have it in a moment.
    Lost,
}

/// A lease that this process holds and renews. Dropping it ends it.
pub trait HeldLease: Send + Sync {
    /// Its fence.
    fn fence(&self) -> Fence;
    /// Its state.
    fn state(&self) -> LeaseState;
}

/// Acquires leases.
pub trait Leases: Send + Sync {
    /// Acquires a lease, or returns the process that holds it.
    ///
    /// # Errors
    /// If the database cannot be reached.
    fn acquire(
        &self,
        name: LeaseName,
        holder: &LeaseHolder,
    ) -> Result<std::result::Result<Box<dyn HeldLease>, LeaseHolder>>;
}

/// Reads leases, and what is known about machines.
pub trait LeaseRead {
    /// A lease, live or not.
    fn lease(&self, name: &LeaseName) -> Result<Option<LeaseRecord>>;
    /// The holders of the live leases of `tasktally work` processes, each with its mark.
    fn work_processes(&self) -> Result<Vec<(ProcessMark, LeaseHolder)>>;
    /// On which machine each attempt of a chunk was worked, in the order of the attempts. Empty if the store is on one machine.
    fn attempt_hosts(&self, chunk: RowId) -> Result<Vec<(u64, String)>>;
}

/// Records what is known about machines.
pub trait LeaseWrite {
    /// Records on which machine an attempt of a chunk is worked.
    fn record_attempt_host(&self, chunk: RowId, attempt: u64, host: &str) -> Result<()>;
}
