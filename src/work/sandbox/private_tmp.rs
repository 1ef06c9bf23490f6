//! The folder for temporary files of a sandboxed worker: the shared one would let it change files of other programs.

use std::fs::canonicalize;
use std::path::Path;

use tempfile::TempDir;

use crate::config::Sandbox;
use crate::private_files::temporary_private_folder;

/// A folder that is deleted when the worker has ended.
pub(in crate::work) struct PrivateTmp(TempDir);

impl PrivateTmp {
    /// Creates the folder with mode 0700 and lets the sandbox write to it. The error says why there is none.
    pub(in crate::work) fn for_sandbox(sandbox: &mut Sandbox) -> Result<Self, String> {
        // A sandbox opens no link, and the folder for temporary files may be one of the operator's.
        let folder = canonicalize(std::env::temp_dir())
            .and_then(|parent| temporary_private_folder("tasktally-worker-", &parent))
            .map_err(|error| format!("no folder for its temporary files can be created: {error}"))?;
        sandbox.write.push(folder.path().to_owned());
        Ok(PrivateTmp(folder))
    }

    /// Its path, for `TMPDIR`.
    pub(in crate::work) fn path(&self) -> &Path {
        self.0.path()
    }
}
