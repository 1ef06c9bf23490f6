//! The working directory of a worker. It is never outside the allowed roots, wherever links lead.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use super::profile::{Profile, WorkDirSetting};
use super::template::{Placeholder, PlaceholderValues, plain_name};
use crate::error::{Error, Result};
use crate::model::id::TaskId;

/// Where a worker is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkDir {
    /// In this folder, which exists.
    Folder(PathBuf),
    /// In a git worktree.
    Worktree {
        /// The repository.
        repository: PathBuf,
        /// The worktree's folder. It exists only if an earlier attempt created it.
        folder: PathBuf,
    },
}

impl Profile {
    /// Checks that a working directory can be named for the batches of a project. An agent chooses the project, so it
    /// is checked when the agent names it, and not when a worker starts.
    ///
    /// # Errors
    /// The project is not a plain name, or there is none and the profile needs one.
    pub fn check_project(&self, project: Option<&str>) -> Result<()> {
        let any = TaskId::stored("any".into());
        match &self.work_dir {
            WorkDirSetting::Default => Ok(()),
            WorkDirSetting::Folder(template) | WorkDirSetting::Worktree(template) => {
                template.fill(&PlaceholderValues { batch: &any, chunk: &any, project }, None).map(|_| ())
            }
        }
    }

    /// The working directory for one chunk. Missing folders are created with mode 0700; a worktree is not created yet.
    /// All links are followed, and the result has to be inside an allowed root. `data` is the data folder of the store:
    /// it contains `work/CHUNK`, the default, and `worktrees/CHUNK`.
    ///
    /// # Errors
    /// The folder is outside the roots, the root or repository does not exist, or a name is not plain.
    pub fn create_work_dir(&self, values: &PlaceholderValues<'_>, data: &Path) -> Result<WorkDir> {
        let chunk = plain_name("chunk", values.chunk.as_str())?;
        match &self.work_dir {
            WorkDirSetting::Default => {
                let work = data.join("work");
                DirBuilder::new().recursive(true).mode(0o700).create(&work).map_err(|error| {
                    Error::invalid(format!("the folder {} cannot be created", work.display()))
                        .caused_by(error)
                })?;
                // A link above it is the operator's.
                let work = std::fs::canonicalize(&work).unwrap_or(work);
                let folder = work.join(chunk);
                self.create_inside(&folder, &[work]).map(WorkDir::Folder)
            }
            WorkDirSetting::Folder(template) => {
                let folder = PathBuf::from(template.fill(values, None)?);
                self.create_inside(&folder, &self.roots).map(WorkDir::Folder)
            }
            WorkDirSetting::Worktree(template) => {
                let path = PathBuf::from(template.fill(values, None)?);
                let repository = self.repository(&path)?;
                Ok(WorkDir::Worktree { repository, folder: data.join("worktrees").join(chunk) })
            }
        }
    }

    /// Checks the working directory without creating anything. Returns the repository of a profile with worktrees. A
    /// path that depends on the batch's project is not checked.
    ///
    /// # Errors
    /// As [`Profile::create_work_dir`].
    pub fn check_work_dir(&self, values: &PlaceholderValues<'_>) -> Result<Option<PathBuf>> {
        match &self.work_dir {
            WorkDirSetting::Folder(template) if !template.contains(Placeholder::Project) => {
                let path = PathBuf::from(template.fill(values, None)?);
                self.split_existing(&path, &self.roots).map(|_| None)
            }
            WorkDirSetting::Worktree(template) if !template.contains(Placeholder::Project) => {
                self.repository(&PathBuf::from(template.fill(values, None)?)).map(Some)
            }
            WorkDirSetting::Default | WorkDirSetting::Folder(_) | WorkDirSetting::Worktree(_) => Ok(None),
        }
    }

    /// Whether the working directory depends on the batch's project.
    pub fn needs_project(&self) -> bool {
        matches!(
            &self.work_dir,
            WorkDirSetting::Folder(template) | WorkDirSetting::Worktree(template)
                if template.contains(Placeholder::Project)
        )
    }

    /// Creates what is missing of a folder inside the roots. Returns its real path.
    fn create_inside(&self, path: &Path, roots: &[PathBuf]) -> Result<PathBuf> {
        let (mut folder, missing) = self.split_existing(path, roots)?;
        for name in missing {
            folder.push(name);
            create_private_folder(&folder)?;
        }
        // Checked again, in case another process has put a link in the way meanwhile.
        let real = std::fs::canonicalize(&folder).map_err(|error| {
            self.refusal(&format!("cwd: the folder {} cannot be used", folder.display())).caused_by(error)
        })?;
        if !is_inside(&real, roots) {
            return Err(self.outside_roots("cwd", path, &real, roots));
        }
        self.check_without_links("cwd", &folder, &real)?;
        if !real.is_dir() {
            return Err(self.refusal(&format!("cwd: {} is not a folder", real.display())));
        }
        Ok(real)
    }

    /// The part of a path that exists, with all links followed, and the names of the folders below it that are missing.
    fn split_existing(&self, path: &Path, roots: &[PathBuf]) -> Result<(PathBuf, Vec<OsString>)> {
        if path.components().any(|part| part == Component::ParentDir) {
            let why = format!("cwd: {} contains '..'; write the path without it", path.display());
            return Err(self.refusal(&why));
        }
        let (existing, missing) = split_at_first_missing(path).map_err(|error| {
            self.refusal(&format!("cwd: the folder {} cannot be used", path.display())).caused_by(error)
        })?;
        let real = missing.iter().fold(existing.clone(), |path, name| path.join(name));
        // A root exists, so missing folders are inside it only if the existing part is.
        if !is_inside(&existing, roots) {
            return Err(self.outside_roots("cwd", path, &real, roots));
        }
        self.check_without_links("cwd", path, &real)?;
        Ok((existing, missing))
    }

    fn repository(&self, path: &Path) -> Result<PathBuf> {
        let repository = std::fs::canonicalize(path).map_err(|error| {
            self.refusal(&format!("worktree: there is no repository at {}", path.display())).caused_by(error)
        })?;
        if !is_inside(&repository, &self.roots) {
            return Err(self.outside_roots("worktree", path, &repository, &self.roots));
        }
        self.check_without_links("worktree", path, &repository)?;
        Ok(repository)
    }

    /// Checks that a path is its own real path, if the profile has a sandbox: a worker of another sandbox could have made the
    /// link, and the sandbox of this one opens the folder.
    fn check_without_links(&self, field: &str, path: &Path, real: &Path) -> Result<()> {
        if self.sandbox.is_none() || path == real {
            return Ok(());
        }
        let (path, real) = (path.display(), real.display());
        Err(self.refusal(&format!(
            "{field}: {path} leads through a link to {real}, which a worker could have made; if the link is yours, write {real}, else remove it"
        )))
    }

    fn outside_roots(&self, field: &str, path: &Path, real: &Path, roots: &[PathBuf]) -> Error {
        let roots = if roots.is_empty() {
            "there are none; add [paths] roots = [\"/a/folder\"] at the top of config.toml".to_owned()
        } else {
            let shown: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
            format!("[paths] roots: {}", shown.join(", "))
        };
        let target =
            if path == real { String::new() } else { format!(" leads to {}, which", real.display()) };
        self.refusal(&format!("{field}: {}{target} is outside the allowed roots ({roots})", path.display()))
    }
}

fn is_inside(real: &Path, roots: &[PathBuf]) -> bool {
    roots.iter().filter_map(|root| std::fs::canonicalize(root).ok()).any(|root| real.starts_with(root))
}

/// The longest part of a path that exists, with its links followed, and the names after it.
fn split_at_first_missing(path: &Path) -> std::io::Result<(PathBuf, Vec<OsString>)> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        // A dangling link exists, so it is not replaced by a folder.
        match std::fs::symlink_metadata(existing) {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (Some(parent), Some(name)) = (existing.parent(), existing.file_name()) else { break };
        missing.insert(0, name.to_owned());
        existing = parent;
    }
    Ok((std::fs::canonicalize(existing)?, missing))
}

/// Creates a folder for its owner alone, unless it exists.
fn create_private_folder(folder: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::invalid(format!("the folder {} cannot be created", folder.display())).caused_by(error))
        }
        _ => Ok(()),
    }
}
