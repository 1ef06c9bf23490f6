//! The folder in which a worker is started: never outside the allowed roots, whatever links say.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use super::Job;
use super::profile::{Cwd, Profile};
use super::template::Word;
use crate::error::{Error, Result};
use crate::model::id::TaskId;

/// Where a worker is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this folder, which is there.
    Folder(PathBuf),
    /// In a git worktree that is yet to be made.
    Worktree {
        /// The repository.
        repository: PathBuf,
        /// The worktree's folder, which is there only if it was made before.
        folder: PathBuf,
    },
}

impl Profile {
    /// Refuses a project for whose batches no folder can be named: agents name projects, and what is wrong
    /// with one is to be said to who named it, before anything is started.
    ///
    /// # Errors
    /// A name that is no plain name, or none where the profile needs one.
    pub fn takes_project(&self, project: Option<&str>) -> Result<()> {
        let any = TaskId::stored("any".into());
        match &self.cwd {
            Cwd::Own => Ok(()),
            Cwd::Folder(template) | Cwd::Worktree(template) => {
                template.fill(&Job { batch: &any, chunk: &any, project }, None).map(|_| ())
            }
        }
    }

    /// The folder for one job, made (0700) where it isn't there. Every link is followed first, and what lies
    /// beneath none of the allowed roots then is refused. `data` is the folder that Tasktally keeps its own in:
    /// without `cwd` the worker is started in `data/work/CHUNK`, a worktree lies at `data/worktrees/CHUNK`.
    ///
    /// # Errors
    /// A folder outside the roots, a root or repository that isn't there, a name that is no plain name.
    pub fn place(&self, job: &Job<'_>, data: &Path) -> Result<Place> {
        let chunk = super::template::plain_name("chunk", job.chunk.as_str())?;
        match &self.cwd {
            Cwd::Own => {
                let work = data.join("work");
                DirBuilder::new().recursive(true).mode(0o700).create(&work).map_err(|error| {
                    Error::invalid(format!("{} cannot be made", work.display())).caused_by(error)
                })?;
                let folder = work.join(chunk);
                self.beneath("cwd", &folder, &[work]).map(Place::Folder)
            }
            Cwd::Folder(template) => {
                let folder = PathBuf::from(template.fill(job, None)?);
                self.beneath("cwd", &folder, &self.roots).map(Place::Folder)
            }
            Cwd::Worktree(template) => {
                let asked = PathBuf::from(template.fill(job, None)?);
                let repository = self.repository(&asked)?;
                Ok(Place::Worktree { repository, folder: data.join("worktrees").join(chunk) })
            }
        }
    }

    /// Whether a chunk could be given a folder, as far as that is known before there is one; makes nothing.
    /// Gives the repository of a profile with worktrees. What depends on the batch's project is not looked at.
    ///
    /// # Errors
    /// As [`Profile::place`].
    pub fn could_place(&self, job: &Job<'_>) -> Result<Option<PathBuf>> {
        match &self.cwd {
            Cwd::Folder(template) if !template.holds(Word::Project) => {
                self.locate("cwd", &PathBuf::from(template.fill(job, None)?), &self.roots).map(|_| None)
            }
            Cwd::Worktree(template) if !template.holds(Word::Project) => {
                self.repository(&PathBuf::from(template.fill(job, None)?)).map(Some)
            }
            Cwd::Own | Cwd::Folder(_) | Cwd::Worktree(_) => Ok(None),
        }
    }

    /// Whether its folder depends on a batch's project, which nobody knows beforehand.
    pub fn needs_project(&self) -> bool {
        matches!(&self.cwd, Cwd::Folder(template) | Cwd::Worktree(template) if template.holds(Word::Project))
    }

    /// The folder itself, all links followed, made where it isn't there.
    fn beneath(&self, field: &str, asked: &Path, roots: &[PathBuf]) -> Result<PathBuf> {
        let (there, missing) = self.locate(field, asked, roots)?;
        let mut folder = there;
        for name in missing {
            folder.push(name);
            make(&folder)?;
        }
        // Once more, in case something was put in the way meanwhile.
        let real = std::fs::canonicalize(&folder).map_err(|error| {
            self.wrong(&format!("{field}: {} cannot be used", folder.display())).caused_by(error)
        })?;
        if self.root_of(&real, roots).is_none() {
            return Err(self.outside(field, asked, &real, roots));
        }
        if !real.is_dir() {
            return Err(self.wrong(&format!("{field}: {} is no folder", real.display())));
        }
        Ok(real)
    }

    /// What of a folder is there, all links followed, and the names that are to be made beneath it.
    fn locate(&self, field: &str, asked: &Path, roots: &[PathBuf]) -> Result<(PathBuf, Vec<OsString>)> {
        if asked.components().any(|part| part == Component::ParentDir) {
            let why = format!("{field}: {} goes upwards (..); write the path itself", asked.display());
            return Err(self.wrong(&why));
        }
        let (there, missing) = existing(asked).map_err(|error| {
            self.wrong(&format!("{field}: {} cannot be used", asked.display())).caused_by(error)
        })?;
        // A root is there: what is made lies beneath it.
        if self.root_of(&there, roots).is_none() {
            let real = missing.iter().fold(there, |path, name| path.join(name));
            return Err(self.outside(field, asked, &real, roots));
        }
        Ok((there, missing))
    }

    fn repository(&self, asked: &Path) -> Result<PathBuf> {
        let repository = std::fs::canonicalize(asked).map_err(|error| {
            self.wrong(&format!("worktree: there is no repository at {}", asked.display())).caused_by(error)
        })?;
        if self.root_of(&repository, &self.roots).is_none() {
            return Err(self.outside("worktree", asked, &repository, &self.roots));
        }
        Ok(repository)
    }

    fn root_of(&self, real: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
        roots.iter().filter_map(|root| std::fs::canonicalize(root).ok()).find(|root| real.starts_with(root))
    }

    fn outside(&self, field: &str, asked: &Path, real: &Path, roots: &[PathBuf]) -> Error {
        let roots = if roots.is_empty() {
            "there are none: add [paths] roots = [\"/a/folder\"] at the top of config.toml".to_owned()
        } else {
            let shown: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
            format!("[paths] roots: {}", shown.join(", "))
        };
        let led = if asked == real { String::new() } else { format!(" leads to {}, which", real.display()) };
        self.wrong(&format!("{field}: {}{led} lies beneath no allowed root ({roots})", asked.display()))
    }
}

/// The longest part of a path that is there, its links followed, and the names that are missing.
fn existing(path: &Path) -> std::io::Result<(PathBuf, Vec<OsString>)> {
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        // A link to nowhere is there, and leads nowhere: it is not to be made.
        match std::fs::symlink_metadata(there) {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else { break };
        missing.insert(0, name.to_owned());
        there = parent;
    }
    Ok((std::fs::canonicalize(there)?, missing))
}

/// Makes a folder for its owner alone; one that is there will do.
fn make(folder: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::invalid(format!("{} cannot be made", folder.display())).caused_by(error))
        }
        _ => Ok(()),
    }
}
