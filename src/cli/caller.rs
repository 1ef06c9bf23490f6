//! Who calls: a person, or an agent with fewer rights.

use std::path::PathBuf;

/// Who opens the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// A person or a script with the user's own rights: item files are read from anywhere.
    Person,
    /// An agent: item files are read from these folders only. If the operator named none: from the current folder,
    /// unless it is `/` or the user's home folder.
    Agent {
        /// The folders that the operator named.
        item_folders: Vec<PathBuf>,
    },
}
