//! What the checks look at: a store as it was found, which may be in no state to be opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::path_word;
use crate::cli::open::store_path;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::items::Roots;
use crate::ops::Docket;
use crate::store::Examine;
use crate::store::sqlite::LookOnly;

/// A store that could be opened for reading.
pub(super) struct Opened {
    /// The file.
    pub(super) store: Arc<dyn Examine>,
    /// The same as operations see it; nothing can be written through it.
    pub(super) docket: Docket,
}

/// How a store was found.
pub(super) enum Found {
    /// There is no such file.
    Nothing,
    /// It cannot be opened.
    Refused(Error),
    /// It can be read.
    Open(Opened),
}

/// What the checks look at.
pub(super) struct Scene {
    /// The store's file.
    pub(super) path: PathBuf,
    /// How it was found.
    pub(super) found: Found,
    /// Whether all that takes long is done, too.
    pub(super) full: bool,
}

impl Scene {
    /// Looks at a store.
    ///
    /// # Errors
    /// Where there is no place for one.
    pub(super) fn of(db: Option<&Path>, full: bool) -> Result<Self> {
        let path = store_path(db)?;
        let found = if path.symlink_metadata().is_ok() { open(&path) } else { Found::Nothing };
        Ok(Scene { path, found, full })
    }

    /// The folder that the store lies in.
    pub(super) fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// The store as it was opened, where it has the schema that this program reads.
    pub(super) fn opened(&self) -> Option<&Opened> {
        let Found::Open(opened) = &self.found else { return None };
        let facts = opened.store.facts();
        (facts.schema == facts.newest).then_some(opened)
    }

    /// A file beside the store that is called like it, with an ending.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    }

    /// A `docket` command over this store.
    pub(super) fn docket(&self, words: &str) -> String {
        let is_default = store_path(None).is_ok_and(|default| default == self.path);
        if is_default && std::env::var_os("DOCKET_DB").is_none() {
            return format!("docket {words}");
        }
        format!("docket --db {} {words}", path_word(&self.path))
    }
}

fn open(path: &Path) -> Found {
    match LookOnly::open(path, Clock::system()) {
        Ok(store) => {
            let store = Arc::new(store);
            let docket = Docket::new(store.clone(), Roots::new(Vec::<PathBuf>::new()), None, "doctor");
            Found::Open(Opened { store, docket })
        }
        Err(error) => Found::Refused(error),
    }
}
