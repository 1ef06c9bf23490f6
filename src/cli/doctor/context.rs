//! What the checks read: a store in any state, even one that cannot be opened.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::store_address::{address_text, data_folder_path, sign_in_address};
use crate::cli::store_path::{command_prefix, store_path};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::items::SourceRoots;
use crate::model::author::SYSTEM;
use crate::ops::{LocalFolders, Session};
use crate::store::postgres::{DatabaseFacts, PostgresStore, inspect};
use crate::store::sqlite::{ReadOnlyStore, beside, file_error, folder_of, inspect_corrupt_store};
use crate::store::{CorruptStore, Inspect, Store};
use crate::terminal::shell_word;
use crate::work::AgentFolders;

/// A store that is open for reading.
pub(super) struct OpenStore {
    /// The file.
    pub(super) store: Arc<dyn Inspect>,
    /// The same store for operations, which cannot write through it.
    pub(super) session: Session,
}

/// The state of the store's file.
pub(super) enum StoreState {
    /// There is no such file.
    Missing,
    /// It cannot be opened.
    Refused(Error),
    /// It cannot be opened because it is damaged.
    Corrupt(CorruptStore, Error),
    /// It can be read.
    Open(OpenStore),
    /// It is in a database that can be reached.
    Database(Box<OpenDatabase>),
}

/// A database that can be reached.
pub(super) struct OpenDatabase {
    pub(super) facts: DatabaseFacts,
    /// The store for operations, if it has the schema that this version reads.
    session: Option<Session>,
}

/// What the checks read.
pub(super) struct DoctorContext {
    /// The store's file, or the address of its database.
    pub(super) path: PathBuf,
    pub(super) state: StoreState,
    /// Whether the slow checks run as well.
    pub(super) full: bool,
}

impl DoctorContext {
    /// Opens the store, if it can be opened.
    ///
    /// # Errors
    /// If the store's path is unknown.
    pub(super) fn of(db: Option<&Path>, full: bool) -> Result<Self> {
        let path = store_path(db)?;
        if let Some(address) = address_text(&path) {
            let state = open_database(&path, address).unwrap_or_else(StoreState::Refused);
            return Ok(DoctorContext { path, state, full });
        }
        let state = match path.symlink_metadata() {
            Ok(_) => open(&path),
            Err(error) if error.kind() == ErrorKind::NotFound => StoreState::Missing,
            Err(error) => StoreState::Refused(file_error(&path, "it cannot be read", error)),
        };
        Ok(DoctorContext { path, state, full })
    }

    /// Whether the store is in a database, reachable or not.
    pub(super) fn is_database(&self) -> bool {
        address_text(&self.path).is_some()
    }

    /// What is known of the database, if it can be reached.
    pub(super) fn database(&self) -> Option<&DatabaseFacts> {
        match &self.state {
            StoreState::Database(database) => Some(&database.facts),
            _ => None,
        }
    }

    /// A `psql` command for the database.
    pub(super) fn psql(&self, sql: &str) -> String {
        format!("psql {} -c {}", shell_word(&self.path.to_string_lossy()), shell_word(sql))
    }

    /// The folder that the store is in, or the one with this machine's files of a database.
    pub(super) fn folder(&self) -> PathBuf {
        data_folder_path(&self.path).unwrap_or_else(|_| folder_of(&self.path))
    }

    /// The store for operations, if it has the schema that this version reads.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.state {
            StoreState::Database(database) => database.session.as_ref(),
            _ => self.current_store().map(|open| &open.session),
        }
    }

    /// The open store, if it has the schema that this version reads.
    pub(super) fn current_store(&self) -> Option<&OpenStore> {
        let StoreState::Open(open) = &self.state else { return None };
        let facts = open.store.facts();
        (facts.schema == facts.newest_schema).then_some(open)
    }

    /// The file beside the store whose name is the store's with a suffix.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.path, suffix)
    }

    /// A `tasktally` command for this store.
    pub(super) fn command(&self, words: &str) -> String {
        format!("{} {words}", command_prefix(&self.path))
    }
}

/// Reads what is known of a database. A store of another schema has no session.
fn open_database(path: &Path, address: &str) -> Result<StoreState> {
    let address = sign_in_address(address, &AgentFolders::default())?;
    let facts = inspect(&address)?;
    let session = match facts.schema {
        Some(schema) if schema == facts.newest_schema => {
            Some(session(Arc::new(PostgresStore::open_current(address)?), data_folder_path(path)?))
        }
        _ => None,
    };
    Ok(StoreState::Database(Box::new(OpenDatabase { facts, session })))
}

fn session(store: Arc<dyn Store>, folder: PathBuf) -> Session {
    let roots = SourceRoots::new(Vec::<PathBuf>::new());
    Session::new(store, LocalFolders::in_one(folder), roots, SYSTEM.clone())
}

fn open(path: &Path) -> StoreState {
    match ReadOnlyStore::open(path, Clock::system()) {
        Ok(store) => {
            let store = Arc::new(store);
            let session = session(store.clone(), folder_of(path));
            StoreState::Open(OpenStore { store, session })
        }
        Err(error) => match inspect_corrupt_store(path, &error) {
            Some(corrupt) => StoreState::Corrupt(corrupt, error),
            None => StoreState::Refused(error),
        },
    }
}
