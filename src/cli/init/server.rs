//! How a client starts the MCP server.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::paths::expand_home;
use crate::prompts::SERVER_KEY;

/// How the client starts the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerEntry {
    pub(super) command: String,
    pub(super) args: Vec<String>,
}

impl ServerEntry {
    /// This program on a store. Paths become absolute, because clients start the server in folders of their own.
    pub(super) fn new(exe: &Path, db: Option<&Path>) -> Result<ServerEntry> {
        let mut args = vec!["serve".to_owned()];
        if let Some(db) = db {
            args.extend(["--db".to_owned(), absolute(&expand_home(db, "--db")?)?]);
        }
        Ok(ServerEntry { command: absolute(exe)?, args })
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
