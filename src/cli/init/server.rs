//! How a client starts the MCP server.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::package_runner::PROGRAM_NAME;
use crate::cli::package_runner::{PackageRunner, launcher_file};
use crate::config::find_program;
use crate::error::{Error, Result};
use crate::paths::expand_home;
use crate::prompts::SERVER_KEY;

/// The words with which a client starts this program.
pub(super) struct ProgramCommand(Vec<String>);

impl ProgramCommand {
    /// The package runner that started this process, else this program.
    ///
    /// # Errors
    /// The path of this program is unknown or not UTF-8.
    pub(super) fn find(runner: Option<PackageRunner>) -> Result<Self> {
        if let Some(runner) = runner {
            // The file that runs now is in a cache, which the package runner may clear.
            return Ok(ProgramCommand(runner.words().into_iter().map(str::to_owned).collect()));
        }
        let exe = std::env::current_exe()
            .map_err(|error| Error::internal("the path of this program cannot be found", error))?;
        ProgramCommand::of_file(&exe, launcher_file().as_deref(), std::env::var_os("PATH").as_deref())
    }

    /// This program: by its name if a client finds it or its launcher by that name in `path`, a list as in `PATH`, else by
    /// its path without links, because clients start the server in folders of their own.
    ///
    /// # Errors
    /// The path is not UTF-8.
    pub(super) fn of_file(exe: &Path, launcher: Option<&Path>, path: Option<&OsStr>) -> Result<Self> {
        let exe = exe.canonicalize().unwrap_or_else(|_| exe.to_path_buf());
        let launcher = launcher.and_then(|file| file.canonicalize().ok());
        let found =
            find_program(OsStr::new(PROGRAM_NAME), path, None).ok().and_then(|file| file.canonicalize().ok());
        let is_found = found.is_some() && (found.as_ref() == Some(&exe) || found == launcher);
        let word = if is_found { PROGRAM_NAME.to_owned() } else { absolute(&exe)? };
        Ok(ProgramCommand(vec![word]))
    }
}

/// How the client starts the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerEntry {
    pub(super) command: String,
    pub(super) args: Vec<String>,
}

impl ServerEntry {
    /// The server on a store.
    ///
    /// # Errors
    /// A path that is not UTF-8.
    pub(super) fn new(
        program: &ProgramCommand,
        db: Option<&Path>,
        project: Option<&str>,
    ) -> Result<ServerEntry> {
        let mut args = program.0.clone();
        let command = args.remove(0);
        args.push("serve".to_owned());
        if let Some(db) = db {
            args.extend(["--db".to_owned(), absolute(&expand_home(db, "--db")?)?]);
        }
        // One word, so that a name that begins with '-' is not read as an option.
        if let Some(project) = project.filter(|name| name.starts_with('-')) {
            args.push(format!("--project={project}"));
        } else if let Some(project) = project {
            args.extend(["--project".to_owned(), project.to_owned()]);
        }
        Ok(ServerEntry { command, args })
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
