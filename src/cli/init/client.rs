//! The MCP clients: the files that list each client's servers, their format, and the folders of skills.

use std::path::PathBuf;

use clap::ValueEnum;

use super::folders::Folders;
use super::target::TargetFile;
use crate::error::{Error, Result};

/// An MCP client that `tasktally init` can configure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ClientProgram {
    /// Claude Code: `.mcp.json`, `~/.claude.json`
    ClaudeCode,
    /// Codex CLI: `.codex/config.toml`, `~/.codex/config.toml`
    Codex,
    /// Gemini CLI: `.gemini/settings.json`, `~/.gemini/settings.json`
    Gemini,
    /// Antigravity: `.agents/mcp_config.json`, `~/.gemini/config/mcp_config.json`
    Antigravity,
    /// Cursor: `.cursor/mcp.json`, `~/.cursor/mcp.json`
    Cursor,
    /// VS Code: `.vscode/mcp.json`, `mcp.json` of the user
    Vscode,
    /// Windsurf: `~/.codeium/windsurf/mcp_config.json`
    Windsurf,
    /// Zed: `.zed/settings.json`, `~/.config/zed/settings.json`
    Zed,
}

/// For whom a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scope {
    /// Everybody who works in this folder
    Project,
    /// You, in all folders
    User,
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
        ClientProgram::all().map(ClientProgram::name).collect::<Vec<_>>().join(", ")
    }

    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            ClientProgram::ClaudeCode => "Claude Code",
            ClientProgram::Codex => "Codex CLI",
            ClientProgram::Gemini => "Gemini CLI",
            ClientProgram::Antigravity => "Antigravity",
            ClientProgram::Cursor => "Cursor",
            ClientProgram::Vscode => "VS Code",
            ClientProgram::Windsurf => "Windsurf",
            ClientProgram::Zed => "Zed",
        }
    }

    pub(super) fn format(self) -> ConfigFormat {
        match self {
            ClientProgram::ClaudeCode | ClientProgram::Cursor => {
                ConfigFormat::Json { list: "mcpServers", typed: true }
            }
            ClientProgram::Gemini | ClientProgram::Antigravity | ClientProgram::Windsurf => {
                ConfigFormat::Json { list: "mcpServers", typed: false }
            }
            ClientProgram::Vscode => ConfigFormat::Json { list: "servers", typed: true },
            ClientProgram::Zed => ConfigFormat::Json { list: "context_servers", typed: false },
            ClientProgram::Codex => ConfigFormat::Toml,
        }
    }

    /// The scope of a file if none was given. Codex reads a project's file in trusted folders only, Windsurf has none.
    pub(super) fn default_scope(self) -> Scope {
        match self {
            ClientProgram::Codex | ClientProgram::Windsurf => Scope::User,
            _ => Scope::Project,
        }
    }

    /// The name of a project's file, relative to the project's folder.
    fn file_of_project(self) -> Option<&'static str> {
        match self {
            ClientProgram::ClaudeCode => Some(".mcp.json"),
            ClientProgram::Codex => Some(".codex/config.toml"),
            ClientProgram::Gemini => Some(".gemini/settings.json"),
            ClientProgram::Antigravity => Some(".agents/mcp_config.json"),
            ClientProgram::Cursor => Some(".cursor/mcp.json"),
            ClientProgram::Vscode => Some(".vscode/mcp.json"),
            ClientProgram::Windsurf => None,
            ClientProgram::Zed => Some(".zed/settings.json"),
        }
    }

    /// The file for all folders of the user. `None` if there is no home folder.
    fn file_of_user(self, folders: &Folders) -> Option<PathBuf> {
        match self {
            ClientProgram::ClaudeCode => folders
                .claude
                .clone()
                .or_else(|| folders.home.clone())
                .map(|folder| folder.join(".claude.json")),
            ClientProgram::Codex => folders.codex().map(|folder| folder.join("config.toml")),
            ClientProgram::Gemini => folders.in_home(".gemini/settings.json"),
            ClientProgram::Antigravity => folders.in_home(".gemini/config/mcp_config.json"),
            ClientProgram::Cursor => folders.in_home(".cursor/mcp.json"),
            ClientProgram::Vscode if cfg!(target_os = "macos") => {
                folders.in_home("Library/Application Support/Code/User/mcp.json")
            }
            ClientProgram::Vscode => folders.in_config("Code/User/mcp.json"),
            ClientProgram::Windsurf => folders.in_home(".codeium/windsurf/mcp_config.json"),
            ClientProgram::Zed => folders.in_config("zed/settings.json"),
        }
    }

    /// The file that lists the client's servers.
    ///
    /// # Errors
    /// The client has no such file, or there is no home folder.
    pub(super) fn file(self, scope: Scope, folders: &Folders) -> Result<TargetFile> {
        match scope {
            Scope::Project => match self.file_of_project() {
                Some(name) => Ok(TargetFile::of_project(&folders.project, name)),
                None => Err(Error::invalid(format!(
                    "--scope: {} has no file of a project; write --scope user",
                    self.title()
                ))),
            },
            Scope::User => {
                self.file_of_user(folders).map(TargetFile::of_user).ok_or_else(|| no_home_folder(self))
            }
        }
    }

    /// The file of a skill. Most clients read the skills of a project from one folder that they share.
    ///
    /// # Errors
    /// There is no home folder.
    pub(super) fn skill_file(self, scope: Scope, skill: &str, folders: &Folders) -> Result<TargetFile> {
        let of_user = match self {
            ClientProgram::ClaudeCode => folders.claude_or_default().map(|folder| folder.join("skills")),
            ClientProgram::Codex | ClientProgram::Zed => folders.in_home(".agents/skills"),
            ClientProgram::Gemini => folders.in_home(".gemini/skills"),
            ClientProgram::Antigravity => folders.in_home(".gemini/config/skills"),
            ClientProgram::Cursor => folders.in_home(".cursor/skills"),
            ClientProgram::Vscode => folders.in_home(".copilot/skills"),
            ClientProgram::Windsurf => folders.in_home(".codeium/windsurf/skills"),
        };
        let of_project = match self {
            ClientProgram::ClaudeCode => ".claude/skills",
            ClientProgram::Windsurf => ".windsurf/skills",
            _ => ".agents/skills",
        };
        let file = format!("{skill}/SKILL.md");
        match scope {
            Scope::Project => Ok(TargetFile::of_project(&folders.project, &format!("{of_project}/{file}"))),
            Scope::User => of_user
                .map(|folder| TargetFile::of_user(folder.join(file)))
                .ok_or_else(|| no_home_folder(self)),
        }
    }

    /// What the client does or asks after its file was written.
    pub(super) fn next_step(self, scope: Scope) -> &'static str {
        match (self, scope) {
            (ClientProgram::ClaudeCode, Scope::Project) => {
                "Claude Code asks for your approval of this server when it is started next in this folder. Until then `claude mcp list` shows it as \"Pending approval\""
            }
            (ClientProgram::Codex, Scope::Project) => {
                "Codex reads this file only in a folder that you trust. It asks when it is started next in this folder"
            }
            (ClientProgram::Gemini, Scope::Project) => {
                "Gemini CLI uses this file only in a folder that you trust, and asks before it calls a tool of the server"
            }
            (ClientProgram::Cursor, _) => {
                "Cursor lists the server in its settings under MCP. Enable it there if it is off"
            }
            (ClientProgram::Vscode, _) => "VS Code asks whether you trust the server before it starts it",
            (ClientProgram::Zed, Scope::Project) => {
                "Zed starts the server when you trust this folder. Until then the folder is in Restricted Mode"
            }
            (ClientProgram::Antigravity | ClientProgram::Windsurf, _) => {
                "Refresh the list of MCP servers, or start the client again"
            }
            _ => "The server is used from the next start of the client on",
        }
    }
}

fn no_home_folder(client: ClientProgram) -> Error {
    Error::invalid(format!(
        "there is no home folder with the files of {}; set HOME, or write --scope project in the folder of a project",
        client.title()
    ))
}
