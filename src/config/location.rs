//! The path of the configuration file.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::error::{Error, Result};
use crate::paths::expand_home;

/// The path in messages if there is no home folder. TASKTALLY_CONFIG names a file.
const NO_FILE: &str = "the file that TASKTALLY_CONFIG names";

/// What determines the path of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationSource {
    /// The variable `TASKTALLY_CONFIG`.
    Variable,
    /// The user's configuration folder.
    UserFolder,
    /// Nothing: the variable is not set, and the user has no home folder.
    NoHome,
}

impl LocationSource {
    /// The source in words.
    pub fn as_str(self) -> &'static str {
        match self {
            LocationSource::Variable => "TASKTALLY_CONFIG",
            LocationSource::UserFolder => "the user's configuration folder",
            LocationSource::NoHome => "no variable TASKTALLY_CONFIG, and no home folder",
        }
    }
}

/// The path of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigLocation {
    /// The path. The file may not exist.
    pub path: PathBuf,
    /// What determines the path.
    pub source: LocationSource,
}

impl ConfigLocation {
    /// `TASKTALLY_CONFIG`, or `tasktally/config.toml` in the user's configuration folder. In a container without a home
    /// folder, a path at which no file can be.
    ///
    /// # Errors
    /// The variable does not contain a path.
    pub fn find() -> Result<Self> {
        let (path, source) = match std::env::var_os("TASKTALLY_CONFIG").filter(|value| !value.is_empty()) {
            Some(path) => (expand_home(Path::new(&path), "TASKTALLY_CONFIG")?, LocationSource::Variable),
            None => match etcetera::choose_base_strategy() {
                Ok(folders) => {
                    (folders.config_dir().join("tasktally").join("config.toml"), LocationSource::UserFolder)
                }
                Err(error) => {
                    tracing::debug!(%error, "no home folder: every setting has its default");
                    return Ok(ConfigLocation { path: NO_FILE.into(), source: LocationSource::NoHome });
                }
            },
        };
        let path = std::path::absolute(&path).map_err(|error| {
            Error::invalid(format!("config: '{}' is not a path", path.display())).caused_by(error)
        })?;
        Ok(ConfigLocation { path, source })
    }
}
