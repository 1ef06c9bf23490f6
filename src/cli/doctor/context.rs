//! What the checks read: a store in any state, even one that cannot be opened.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::store_path::{command_prefix, store_path};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::items::SourceRoots;
use crate::model::author::SYSTEM;
use crate::ops::{LocalFolders, Session};
use crate::store::sqlite::{ReadOnlyStore, beside, file_error, folder_of, inspect_corrupt_store};
use crate::store::{CorruptStore, Inspect};

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
}

/// What the checks read.
pub(super) struct DoctorContext {
    /// The store's file.
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
        let state = match path.symlink_metadata() {
            Ok(_) => open(&path),
            Err(error) if error.kind() == ErrorKind::NotFound => StoreState::Missing,
            Err(error) => StoreState::Refused(file_error(&path, "it cannot be read", error)),
        };
        Ok(DoctorContext { path, state, full })
    }

    /// The folder that the store is in.
    pub(super) fn folder(&self) -> PathBuf {
        folder_of(&self.path)
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

fn open(path: &Path) -> StoreState {
    match ReadOnlyStore::open(path, Clock::system()) {
        Ok(store) => {
            let store = Arc::new(store);
            let session = Session::new(
                store.clone(),
                LocalFolders::in_one(folder_of(path)),
                SourceRoots::new(Vec::<PathBuf>::new()),
                SYSTEM.clone(),
            );
            StoreState::Open(OpenStore { store, session })
        }
        Err(error) => match inspect_corrupt_store(path, &error) {
            Some(corrupt) => StoreState::Corrupt(corrupt, error),
            None => StoreState::Refused(error),
        },
    }
}
