//! The path of the configuration file.

use std::path::PathBuf;

use etcetera::BaseStrategy as _;

use crate::error::{Error, Result};

/// What determines the path of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationSource {
    /// The variable `TASKTALLY_CONFIG`.
    Variable,
    /// The user's configuration folder.
    UserFolder,
}

impl LocationSource {
    /// The source in words.
    pub fn as_str(self) -> &'static str {
        match self {
            LocationSource::Variable => "TASKTALLY_CONFIG",
            LocationSource::UserFolder => "the user's configuration folder",
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
    /// `TASKTALLY_CONFIG`, or `tasktally/config.toml` in the user's configuration folder.
    ///
    /// # Errors
    /// The variable is not set and there is no home folder.
    pub fn find() -> Result<Self> {
        let (path, source) = match std::env::var_os("TASKTALLY_CONFIG").filter(|value| !value.is_empty()) {
            Some(path) => (PathBuf::from(path), LocationSource::Variable),
            None => {
                let folders = etcetera::choose_base_strategy().map_err(|error| {
                    Error::invalid("config: there is no home folder with a config.toml; set TASKTALLY_CONFIG to the path of the file")
                        .caused_by(error)
                })?;
                (folders.config_dir().join("tasktally").join("config.toml"), LocationSource::UserFolder)
            }
        };
        let path = std::path::absolute(&path).map_err(|error| {
            Error::invalid(format!("config: '{}' is not a path", path.display())).caused_by(error)
        })?;
        Ok(ConfigLocation { path, source })
    }
}
