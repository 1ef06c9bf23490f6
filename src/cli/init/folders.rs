//! The folders in which clients keep their files.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The folders of a project and of its user.
pub(super) struct Folders {
    /// The project.
    pub(super) project: PathBuf,
    pub(super) home: Option<PathBuf>,
    /// `CLAUDE_CONFIG_DIR`.
    pub(super) claude: Option<PathBuf>,
    /// `CODEX_HOME`.
    codex: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    config: Option<PathBuf>,
}

impl Folders {
    /// Those of this process, in the current folder.
    ///
    /// # Errors
    /// The current folder was removed.
    pub(super) fn of_process() -> Result<Self> {
        let project = std::env::current_dir()
            .map_err(|error| Error::internal("the current folder cannot be found", error))?;
        Ok(Folders::with_project(project))
    }

    /// Those of this process, with a project in this folder.
    pub(super) fn with_project(project: PathBuf) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Folders {
            project,
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            claude: variable("CLAUDE_CONFIG_DIR"),
            codex: variable("CODEX_HOME"),
            // The specification asks to ignore a relative path.
            config: variable("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute()),
        }
    }

    /// A folder that is the project and the home folder.
    #[cfg(test)]
    pub(super) fn at(folder: &Path) -> Self {
        Folders {
            project: folder.to_owned(),
            home: Some(folder.to_owned()),
            claude: None,
            codex: None,
            config: None,
        }
    }

    pub(super) fn in_home(&self, name: impl AsRef<Path>) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(name))
    }

    /// The folder of Claude Code, except for its file with servers.
    pub(super) fn claude_or_default(&self) -> Option<PathBuf> {
        self.claude.clone().or_else(|| self.in_home(".claude"))
    }

    pub(super) fn codex(&self) -> Option<PathBuf> {
        self.codex.clone().or_else(|| self.in_home(".codex"))
    }

    pub(super) fn in_config(&self, name: impl AsRef<Path>) -> Option<PathBuf> {
        let config = self.config.clone().or_else(|| self.in_home(".config"));
        config.map(|config| config.join(name))
    }
}
