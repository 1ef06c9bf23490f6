//! Opening the store for a caller.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::caller::Caller;
use super::item_folders::item_roots;
use super::store_address::{address_text, data_folder, sign_in_address};
use super::store_path::store_path;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::file_system_type::{FileSystemSafety, file_system_type};
use crate::model::author::{Author, AuthorKind};
use crate::model::text::LineText;
use crate::model::worker_scope::WorkerScope;
use crate::ops::{LocalFolders, Session, scope_to_worker};
use crate::paths::expand_home;
use crate::store::Store;
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::{ReadOnlyStore, SqliteStore, folder_of};
use crate::work::{AgentFolders, Launcher};

/// The chunk that this process is restricted to, if a runner started it for a worker.
///
/// # Errors
/// If `TASKTALLY_JOB` is set to something else. An unreadable value must not lift the restriction.
pub(super) fn worker_scope() -> Result<Option<WorkerScope>> {
    match std::env::var_os("TASKTALLY_JOB") {
        Some(scope) if !scope.is_empty() => {
            scope.to_string_lossy().parse().map(Some).map_err(|why: String| Error::invalid(why))
        }
        _ => Ok(None),
    }
}

/// Whether the operator has declared that no other machine uses a store on a network disk.
pub(super) fn is_network_disk_allowed() -> bool {
    std::env::var_os("TASKTALLY_NETWORK_DISK").is_some_and(|value| value == "allow")
}

/// Refuses a store on a network disk: file locks and the WAL index do not work across machines.
fn refuse_network_disk(path: &Path) -> Result<()> {
    let Some(kind) =
        file_system_type(path).filter(|kind| FileSystemSafety::of_type(kind) == FileSystemSafety::Network)
    else {
        return Ok(());
    };
    if is_network_disk_allowed() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "store {}: it is on a network disk ({kind}). File locks and the write-ahead log do not work across machines, so the store could be destroyed. Name a file on a local disk with --db or TASKTALLY_DB, or set TASKTALLY_NETWORK_DISK=allow if no other machine uses the store",
        path.display()
    )))
}

/// Opens the store, and creates it if it does not exist.
///
/// # Errors
/// If the store cannot be opened, or is on a network disk.
pub(super) fn open(db: Option<&Path>, caller: Caller) -> Result<Session> {
    open_with(db, caller, open_store)
}

/// Creates or opens a store that belongs to one command: background runners are not started, and no file is written
/// outside its folder.
///
/// # Errors
/// As for [`open`].
pub(super) fn open_isolated(path: &Path) -> Result<Session> {
    refuse_network_disk(path)?;
    let folders = LocalFolders::in_one(folder_of(path));
    let (roots, _) = item_roots(&Caller::Person, path, &folders.data);
    let author = author(&Caller::Person).without_names(user_names());
    let store = Arc::new(SqliteStore::open(path, Clock::system())?);
    Ok(Session::new(store, folders, roots, author))
}

/// The same for a command that only writes: a store that cannot be written is refused.
///
/// # Errors
/// As for [`open`], and if the store cannot be written.
pub(super) fn open_for_writing(db: Option<&Path>, caller: Caller) -> Result<Session> {
    open_with(db, caller, |path, agent_folders| match address_text(path) {
        Some(address) => open_database(address, agent_folders),
        None => Ok(Arc::new(SqliteStore::open(path, Clock::system())?)),
    })
}

fn open_with(
    db: Option<&Path>,
    caller: Caller,
    open_store: impl FnOnce(&Path, &AgentFolders) -> Result<Arc<dyn Store>>,
) -> Result<Session> {
    let path = store_path(db)?;
    let scope = worker_scope()?;
    // A worker's server has none of the operator's variables. Its runner has passed this check.
    if scope.is_none() && address_text(&path).is_none() {
        refuse_network_disk(&path)?;
    }
    let folders = LocalFolders { data: data_folder(&path)?, scratch: scratchpad()? };
    let (roots, agent_folders) = item_roots(&caller, &path, &folders.data);
    let author = author(&caller).without_names(user_names());
    let session = Session::new(open_store(&path, &agent_folders)?, folders, roots, author);
    let launcher = Launcher::new(&path, session.folder(), agent_folders);
    let session = session.with_launcher(Arc::new(launcher));
    match scope {
        Some(scope) => scope_to_worker(session, scope),
        None => Ok(session),
    }
}

/// Opens a store in a database.
fn open_database(address: &str, agent_folders: &AgentFolders) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(PostgresStore::open(sign_in_address(address, agent_folders)?)?))
}

/// Opens a store for writing. One that cannot be written, such as a store on a read-only disk, is opened for reading
/// if it has this version's schema; then every write is refused with the reason.
fn open_store(path: &Path, agent_folders: &AgentFolders) -> Result<Arc<dyn Store>> {
    if let Some(address) = address_text(path) {
        return open_database(address, agent_folders);
    }
    match SqliteStore::open(path, Clock::system()) {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) if error.code == Code::ReadOnly => {
            match ReadOnlyStore::open_unwritable(path, Clock::system(), &error) {
                Ok(store) => Ok(Arc::new(store)),
                Err(_) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// The folder of the batches' files that `SCRATCHPAD` names.
fn scratchpad() -> Result<Option<PathBuf>> {
    let named = std::env::var_os("SCRATCHPAD").filter(|value| !value.is_empty());
    named.map(|path| expand_home(Path::new(&path), "SCRATCHPAD")).transpose()
}

/// The names of the user whose program this is, and of the user who became root.
fn user_names() -> Vec<String> {
    let named = ["USER", "LOGNAME", "SUDO_USER"].into_iter().filter_map(|name| std::env::var(name).ok());
    let mut names: Vec<String> = named.filter(|name| name.parse::<LineText>().is_ok()).collect();
    names.dedup();
    names
}

/// Whether a person can have typed the command: input and messages are connected to a terminal. An agent that runs
/// commands gives them neither, unless it makes a terminal on purpose.
pub(super) fn is_at_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The author of receipts that name none.
fn author(caller: &Caller) -> Author {
    match caller {
        Caller::Person if is_at_terminal() => {
            let name = user_names().into_iter().next().unwrap_or_else(|| "user".into());
            Author::new(name, AuthorKind::Person)
        }
        Caller::Person => Author::new("cli", AuthorKind::Agent),
        Caller::Agent { .. } => Author::new("agent", AuthorKind::Agent),
    }
}
