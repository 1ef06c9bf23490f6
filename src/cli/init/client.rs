//! The MCP clients: the file that lists each client's servers, and its format.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::{Error, Result};

/// An MCP client that `tasktally init` can configure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ClientProgram {
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

/// The format of a client's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigFormat {
    /// A JSON object with the servers in its member `list`.
    Json {
        list: &'static str,
        /// Whether an entry has a field `type` for its transport.
        typed: bool,
    },
    /// TOML with a table per server under `mcp_servers`.
    Toml,
}

impl ClientProgram {
    pub(super) fn all() -> impl Iterator<Item = ClientProgram> {
        ClientProgram::value_variants().iter().copied()
    }

    pub(super) fn names() -> String {
        let names = ClientProgram::all().filter_map(|client| client.to_possible_value());
        names.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            ClientProgram::ClaudeCode => "Claude Code",
            ClientProgram::Codex => "Codex CLI",
            ClientProgram::Gemini => "Gemini CLI",
            ClientProgram::Cursor => "Cursor",
            ClientProgram::Vscode => "VS Code",
        }
    }

    pub(super) fn format(self) -> ConfigFormat {
        match self {
            ClientProgram::ClaudeCode | ClientProgram::Cursor => {
                ConfigFormat::Json { list: "mcpServers", typed: true }
            }
            ClientProgram::Gemini => ConfigFormat::Json { list: "mcpServers", typed: false },
            ClientProgram::Vscode => ConfigFormat::Json { list: "servers", typed: true },
            ClientProgram::Codex => ConfigFormat::Toml,
        }
    }

    /// The file's name relative to the project's folder; for Codex, relative to its own folder.
    fn file_name(self) -> &'static str {
        match self {
            ClientProgram::ClaudeCode => ".mcp.json",
            ClientProgram::Codex => "config.toml",
            ClientProgram::Gemini => ".gemini/settings.json",
            ClientProgram::Cursor => ".cursor/mcp.json",
            ClientProgram::Vscode => ".vscode/mcp.json",
        }
    }

    /// The file's name for a heading.
    pub(super) fn file_description(self) -> String {
        match self {
            ClientProgram::Codex => "~/.codex/config.toml".to_owned(),
            _ => format!("{} in the project's folder", self.file_name()),
        }
    }

    /// The file to change.
    pub(super) fn file(self, project: &Path, codex_home: Option<&Path>) -> Result<PathBuf> {
        match (self, codex_home) {
            (ClientProgram::Codex, Some(home)) => Ok(home.join(self.file_name())),
            (ClientProgram::Codex, None) => {
                Err(Error::invalid("There is no home folder with .codex/config.toml; set CODEX_HOME"))
            }
            _ => Ok(project.join(self.file_name())),
        }
    }

    /// Whether the file belongs to the project, and may come with it from a repository of other people.
    pub(super) fn is_file_of_project(self) -> bool {
        self != ClientProgram::Codex
    }

    /// The folders between the project's folder and the file, innermost first.
    pub(super) fn folders_of_project(self, file: &Path) -> impl Iterator<Item = &Path> {
        let count =
            if self.is_file_of_project() { Path::new(self.file_name()).components().count() - 1 } else { 0 };
        file.ancestors().skip(1).take(count)
    }

    /// What the user has to do after the file was written.
    pub(super) fn next_step(self) -> Option<&'static str> {
        match self {
            ClientProgram::ClaudeCode => Some(
                "Claude Code asks for your approval of this server when it is started next in this folder. Until then `claude mcp list` shows it as \"Pending approval\"",
            ),
            _ => None,
        }
    }
}
