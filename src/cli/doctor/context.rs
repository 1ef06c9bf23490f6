//! What the checks look at: a store as it was found, which may be in no state to be opened.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::open::store_path;
use crate::cli::shell::command_prefix;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::items::Roots;
use crate::ops::Session;
use crate::store::sqlite::{ReadOnlyStore, beside, cannot, folder_of, wreck};
use crate::store::{CorruptStore, Inspect};

/// A store that could be opened for reading.
pub(super) struct Opened {
    /// The file.
    pub(super) store: Arc<dyn Inspect>,
    /// The same as operations see it; nothing can be written through it.
    pub(super) session: Session,
}

/// How a store was found.
pub(super) enum Found {
    /// There is no such file.
    Nothing,
    /// It cannot be opened.
    Refused(Error),
    /// It cannot be opened for its damage.
    Damaged(CorruptStore, Error),
    /// It can be read.
    Open(Opened),
}

/// What the checks look at.
pub(super) struct DoctorContext {
    /// The store's file.
    pub(super) path: PathBuf,
    /// How it was found.
    pub(super) found: Found,
    /// Whether all that takes long is done, too.
    pub(super) full: bool,
}

impl DoctorContext {
    /// Looks at a store.
    ///
    /// # Errors
    /// Where there is no place for one.
    pub(super) fn of(db: Option<&Path>, full: bool) -> Result<Self> {
        let path = store_path(db)?;
        let found = match path.symlink_metadata() {
            Ok(_) => open(&path),
            Err(error) if error.kind() == ErrorKind::NotFound => Found::Nothing,
            Err(error) => Found::Refused(cannot(&path, "it cannot be looked at", error)),
        };
        Ok(DoctorContext { path, found, full })
    }

    /// The folder that the store lies in.
    pub(super) fn folder(&self) -> PathBuf {
        folder_of(&self.path)
    }

    /// The store as it was opened, where it has the schema that this program reads.
    pub(super) fn opened(&self) -> Option<&Opened> {
        let Found::Open(opened) = &self.found else { return None };
        let facts = opened.store.facts();
        (facts.schema == facts.newest).then_some(opened)
    }

    /// A file beside the store that is called like it, with an ending.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        beside(&self.path, ending)
    }

    /// A `tasktally` command over this store.
    pub(super) fn command(&self, words: &str) -> String {
        format!("{} {words}", command_prefix(&self.path))
    }
}

fn open(path: &Path) -> Found {
    match ReadOnlyStore::open(path, Clock::system()) {
        Ok(store) => {
            let store = Arc::new(store);
            let session = Session::new(store.clone(), Roots::new(Vec::<PathBuf>::new()), None, "doctor");
            Found::Open(Opened { store, session })
        }
        Err(error) => match wreck(path, &error) {
            Some(wreck) => Found::Damaged(wreck, error),
            None => Found::Refused(error),
        },
    }
}
