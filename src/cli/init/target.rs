//! A file that `tasktally init` writes.

use std::path::{Path, PathBuf};

use super::file::{OriginalFile, read, refuse_link};
use crate::error::Result;

/// A file of a project or of the user.
pub(super) struct TargetFile {
    pub(super) path: PathBuf,
    /// The project's folder, if the file belongs to a project.
    project: Option<PathBuf>,
}

impl TargetFile {
    /// A file of a project, which may come with it from a repository of other people.
    pub(super) fn of_project(project: &Path, name: &str) -> Self {
        TargetFile { path: project.join(name), project: Some(project.to_owned()) }
    }

    /// A file of the user.
    pub(super) fn of_user(path: PathBuf) -> Self {
        TargetFile { path, project: None }
    }

    /// The path to write to, and the file that is there.
    ///
    /// # Errors
    /// A folder of the project on the way, or the file, is a link or cannot be read.
    pub(super) fn open(&self) -> Result<(PathBuf, Option<OriginalFile>)> {
        for folder in self.folders_of_project() {
            refuse_link(folder, &self.path)?;
        }
        // A file of the user's own may be a link to where the user keeps it.
        let real = if self.project.is_none() { self.path.canonicalize().ok() } else { None };
        let path = real.unwrap_or_else(|| self.path.clone());
        let before = read(&path)?;
        Ok((path, before))
    }

    /// The folders between the project's folder and the file, innermost first.
    fn folders_of_project(&self) -> impl Iterator<Item = &Path> {
        let project = self.project.as_deref();
        let folders = self.path.ancestors().skip(1);
        folders.take_while(move |folder| project.is_some_and(|project| *folder != project))
    }
}
