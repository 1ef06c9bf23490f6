//! Where the store is, and opening it for a caller.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy as _;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::file_system::{Safety, kind_of};
use crate::items::Roots;
use crate::model::job::WorkerScope;
use crate::ops::{Session, scope_to_worker};
use crate::store::sqlite::SqliteStore;
use crate::work::Launcher;

/// Who opens the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A person or script with the user's own rights: items from anywhere.
    Person,
    /// An agent: items from beneath the current folder only.
    Agent,
}

/// The store's file: `--db`, `TASKTALLY_DB`, or one in the user's data folder.
pub(super) fn store_path(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(path) if path.is_dir() => Ok(path.join("tasktally.db")),
        Some(path) => Ok(path.to_owned()),
        None => {
            let folders = etcetera::choose_base_strategy().map_err(|error| {
                Error::invalid(
                    "db: there is no home folder to keep a store in; name one with --db or TASKTALLY_DB",
                )
                .caused_by(error)
            })?;
            Ok(folders.data_dir().join("tasktally").join("tasktally.db"))
        }
    }
}

/// The job that this process is held to, where a runner started it for a worker.
///
/// # Errors
/// What is no job.
pub(super) fn job() -> Result<Option<WorkerScope>> {
    match std::env::var_os("TASKTALLY_JOB") {
        // What is no text is no job either, and must not pass for none at all.
        Some(job) if !job.is_empty() => {
            job.to_string_lossy().parse().map(Some).map_err(|why: String| Error::invalid(why))
        }
        _ => Ok(None),
    }
}

/// Whether the operator takes it upon himself that no other machine uses a store on a network disk.
pub(super) fn is_network_allowed() -> bool {
    std::env::var_os("TASKTALLY_NETWORK_DISK").is_some_and(|value| value == "allow")
}

/// Refuses a store on a network disk: neither locks nor the log's index hold across machines.
fn refuse_network(path: &Path) -> Result<()> {
    let Some(kind) = kind_of(path).filter(|kind| Safety::of(kind) == Safety::Network) else { return Ok(()) };
    if is_network_allowed() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "store {}: it lies on a network disk ({kind}), where locks and the write-ahead log do not hold across machines and the store may be destroyed; name one on a local disk with --db or TASKTALLY_DB, or set TASKTALLY_NETWORK_DISK=allow where no other machine uses it",
        path.display()
    )))
}

/// Opens the store.
pub(super) fn open(db: Option<&Path>, caller: Caller) -> Result<Session> {
    let path = store_path(db)?;
    let job = job()?;
    // A worker's server has none of the operator's variables; its runner was let in.
    if job.is_none() {
        refuse_network(&path)?;
    }
    let here = std::env::current_dir()
        .map_err(|error| Error::internal("the current folder cannot be read", error))?;
    let roots = match caller {
        // Relative paths count from the first root.
        Caller::Person => Roots::new([here.clone(), PathBuf::from("/")]),
        Caller::Agent => Roots::new([here.clone()]),
    };
    let roots = roots.without_store(&path);
    let closed = if caller == Caller::Agent { vec![here] } else { Vec::new() };
    let scratchpad = std::env::var_os("SCRATCHPAD").filter(|value| !value.is_empty()).map(PathBuf::from);
    let name = match caller {
        Caller::Person => std::env::var("USER")
            .ok()
            .filter(|name| name.parse::<crate::model::text::Line>().is_ok())
            .unwrap_or_else(|| "cli".into()),
        Caller::Agent => "agent".into(),
    };
    let store = SqliteStore::open(&path, Clock::system())?;
    let session = Session::new(Arc::new(store), roots, scratchpad, name);
    let path = std::path::absolute(&path)
        .map_err(|error| Error::internal("the store's path cannot be made absolute", error))?;
    let launcher = Launcher::new(&path, session.folder(), closed);
    let session = session.with_launcher(Arc::new(launcher));
    match job {
        Some(job) => scope_to_worker(session, job),
        None => Ok(session),
    }
}
