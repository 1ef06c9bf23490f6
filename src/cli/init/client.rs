//! The MCP clients: where each keeps its servers, and how one is written there.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::prompts::SERVER_KEY;

/// An MCP client that `tasktally init` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Claude Code, `.mcp.json` in the project
    ClaudeCode,
    /// Codex CLI, `config.toml` in `CODEX_HOME` or `~/.codex`
    Codex,
    /// Gemini CLI, `.gemini/settings.json` in the project
    Gemini,
    /// Cursor, `.cursor/mcp.json` in the project
    Cursor,
    /// VS Code, `.vscode/mcp.json` in the project
    Vscode,
}

/// How a client's file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A JSON object whose member `list` holds the servers.
    Json {
        list: &'static str,
        /// Whether an entry names its transport.
        typed: bool,
    },
    /// TOML tables under `mcp_servers`.
    Toml,
}

impl Client {
    pub(super) fn all() -> impl Iterator<Item = Client> {
        Client::value_variants().iter().copied()
    }

    pub(super) fn names() -> String {
        let names = Client::all().filter_map(|client| client.to_possible_value());
        names.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Client::ClaudeCode => "Claude Code",
            Client::Codex => "Codex CLI",
            Client::Gemini => "Gemini CLI",
            Client::Cursor => "Cursor",
            Client::Vscode => "VS Code",
        }
    }

    pub(super) fn format(self) -> Format {
        match self {
            Client::ClaudeCode | Client::Cursor => Format::Json { list: "mcpServers", typed: true },
            Client::Gemini => Format::Json { list: "mcpServers", typed: false },
            Client::Vscode => Format::Json { list: "servers", typed: true },
            Client::Codex => Format::Toml,
        }
    }

    /// The file within the project, or within the folder of Codex.
    fn file_name(self) -> &'static str {
        match self {
            Client::ClaudeCode => ".mcp.json",
            Client::Codex => "config.toml",
            Client::Gemini => ".gemini/settings.json",
            Client::Cursor => ".cursor/mcp.json",
            Client::Vscode => ".vscode/mcp.json",
        }
    }

    /// The file as a heading names it.
    pub(super) fn shown_file(self) -> String {
        match self {
            Client::Codex => "~/.codex/config.toml".to_owned(),
            _ => format!("{} in the project's folder", self.file_name()),
        }
    }

    /// The file to merge into: in the project's folder, for Codex in its own.
    pub(super) fn file(self, project: &Path, codex_home: Option<&Path>) -> Result<PathBuf> {
        match (self, codex_home) {
            (Client::Codex, Some(home)) => Ok(home.join(self.file_name())),
            (Client::Codex, None) => Err(Error::invalid(
                "There is no home folder to look for .codex/config.toml in: set CODEX_HOME.",
            )),
            _ => Ok(project.join(self.file_name())),
        }
    }

    /// The whole configuration, as a file that held nothing else would have it.
    pub(super) fn snippet(self, server: &Server) -> Result<String> {
        let merged = match self.format() {
            Format::Json { list, typed } => super::json::merge("", list, &server.fields(typed)),
            Format::Toml => super::toml::merge("", server),
        };
        match merged {
            Ok(Some(merged)) => Ok(merged.text),
            Ok(None) => Ok(String::new()),
            Err(reason) => Err(Error::invalid(reason)),
        }
    }
}

/// How the client starts the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) command: String,
    pub(super) args: Vec<String>,
}

impl Server {
    /// The server as this program and task file; paths become absolute, because clients start
    /// it from folders of their own.
    pub(super) fn new(exe: &Path, db: Option<&Path>) -> Result<Server> {
        let mut args = vec!["serve".to_owned()];
        if let Some(db) = db {
            args.extend(["--db".to_owned(), absolute(db)?]);
        }
        Ok(Server { command: absolute(exe)?, args })
    }

    /// The entry in a JSON file.
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
        .map_err(|error| Error::invalid(format!("{} is no path", path.display())).caused_by(error))?;
    absolute.into_os_string().into_string().map_err(|path| {
        Error::invalid(format!(
            "The path {} is not UTF-8, which the configuration of {SERVER_KEY} cannot hold.",
            path.display()
        ))
    })
}
