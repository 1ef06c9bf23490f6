//! A repository seen without its configuration.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::git_command::plain_settings;
use crate::error::{Error, Result};
use crate::private_files::temporary_private_folder;

/// The repository's own settings that are taken over: how it stores objects and references, and how its file system
/// handles names, modes and line ends. None of them names a program or a file.
const TAKEN_OVER: &str = "^(core\\.(repositoryformatversion|filemode|symlinks|ignorecase|precomposeunicode|autocrlf|eol)\
                          |extensions\\.(objectformat|refstorage))$";
/// What the folder shares with the repository, if it contains references.
const SHARED_REFERENCES: [&str; 5] = ["refs", "packed-refs", "reftable", "worktrees", "shallow"];

/// A private folder that git uses as the repository (`GIT_DIR`). It links to the objects and references of the real one
/// and has a configuration, hooks and attributes of its own, namely none. A repository, or a worker that writes to it,
/// therefore cannot have git run a filter, a hook or an included file: git never opens the file that names them.
/// The layout is described in gitrepository-layout(5).
#[derive(Debug)]
pub(super) struct NeutralGitDir {
    folder: TempDir,
    common_dir: PathBuf,
}

impl NeutralGitDir {
    /// With the references of the repository, to create and delete branches and worktrees.
    ///
    /// # Errors
    /// The folder cannot be created, or git cannot read the repository's configuration.
    pub(super) fn with_references(common_dir: &Path, head: &str) -> Result<Self> {
        Self::create(common_dir, head, &SHARED_REFERENCES)
    }

    /// Without references, to compare and write the files of a worktree whose `HEAD` is a certain commit.
    ///
    /// # Errors
    /// As [`NeutralGitDir::with_references`].
    pub(super) fn for_files(common_dir: &Path, head: &str) -> Result<Self> {
        Self::create(common_dir, head, &["shallow"])
    }

    fn create(common_dir: &Path, head: &str, shared: &[&str]) -> Result<Self> {
        let settings = plain_settings(&common_dir.join("config"), TAKEN_OVER)?;
        let has_references = shared.contains(&"refs");
        let write = || -> std::io::Result<TempDir> {
            let folder = temporary_private_folder("tasktally-git-", &std::env::temp_dir())?;
            let path = folder.path();
            std::fs::write(path.join("config"), config_text(&settings, has_references))?;
            std::fs::write(path.join("HEAD"), format!("{head}\n"))?;
            std::fs::create_dir(path.join("info"))?;
            if has_references {
                // git links to this folder only if it exists.
                std::fs::create_dir_all(common_dir.join("worktrees"))?;
            } else {
                std::fs::create_dir(path.join("refs"))?;
            }
            for name in shared.iter().copied().chain(["objects", "info/exclude"]) {
                if common_dir.join(name).exists() {
                    std::os::unix::fs::symlink(common_dir.join(name), path.join(name))?;
                }
            }
            Ok(folder)
        };
        let folder = write().map_err(|error| {
            Error::invalid("worktree: a temporary folder for git cannot be created").caused_by(error)
        })?;
        Ok(NeutralGitDir { folder, common_dir: common_dir.to_owned() })
    }

    /// The folder for `GIT_DIR`.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The real repository.
    pub(super) fn common_dir(&self) -> &Path {
        &self.common_dir
    }
}

/// The text of the configuration. Settings whose values are not plain words are left out.
fn config_text(settings: &[(String, String)], has_references: bool) -> String {
    // Nothing is logged to the repository, and paths are absolute, because the folder is somewhere else.
    let mut text =
        "[core]\n\tlogAllRefUpdates = false\n[worktree]\n\tuseRelativePaths = false\n[gc]\n\tauto = 0\n"
            .to_owned();
    for (name, value) in settings {
        let Some((section, key)) = name.split_once('.') else { continue };
        let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_plain && (has_references || key != "refstorage") {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "[{section}]\n\t{key} = {value}");
        }
    }
    text
}
