//! How a client starts the MCP server.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::find_program;
use crate::error::{Error, Result};
use crate::paths::expand_home;
use crate::prompts::SERVER_KEY;

/// The name under which the program is installed.
const PROGRAM_NAME: &str = "tasktally";

/// How the client starts the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerEntry {
    pub(super) command: String,
    pub(super) args: Vec<String>,
}

impl ServerEntry {
    /// This program on a store, found by its name if that is in `path`, a list as in `PATH`. Other paths become absolute,
    /// because clients start the server in folders of their own.
    ///
    /// # Errors
    /// A path that is not UTF-8.
    pub(super) fn new(
        exe: &Path,
        path: Option<&OsStr>,
        db: Option<&Path>,
        project: Option<&str>,
    ) -> Result<ServerEntry> {
        let mut args = vec!["serve".to_owned()];
        if let Some(db) = db {
            args.extend(["--db".to_owned(), absolute(&expand_home(db, "--db")?)?]);
        }
        if let Some(project) = project {
            args.extend(["--project".to_owned(), project.to_owned()]);
        }
        Ok(ServerEntry { command: command(exe, path)?, args })
    }

    /// The fields of the entry in a JSON file.
    pub(super) fn fields(&self, typed: bool) -> Map<String, Value> {
        let mut fields = Map::new();
        if typed {
            fields.insert("type".to_owned(), json!("stdio"));
        }
        fields.insert("command".to_owned(), json!(self.command));
        fields.insert("args".to_owned(), json!(self.args));
        fields
    }
}

/// The name of this program if a client finds it by that name, else its path without links.
fn command(exe: &Path, path: Option<&OsStr>) -> Result<String> {
    let exe = exe.canonicalize().unwrap_or_else(|_| exe.to_path_buf());
    let found =
        find_program(OsStr::new(PROGRAM_NAME), path, None).ok().and_then(|file| file.canonicalize().ok());
    if found.as_ref() == Some(&exe) { Ok(PROGRAM_NAME.to_owned()) } else { absolute(&exe) }
}

fn absolute(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::invalid(format!("{} is not a path", path.display())).caused_by(error))?;
    absolute.into_os_string().into_string().map_err(|path| {
        Error::invalid(format!(
            "The path {} is not UTF-8, which the configuration of {SERVER_KEY} cannot hold",
            path.display()
        ))
    })
}
