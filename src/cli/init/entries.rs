//! The entries of the server in the files of the clients, as they are now.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::client::{ClientProgram, ConfigFormat, Scope};
use super::file::read;
use super::folders::Folders;
use super::{json, toml};

/// The server in a client's file.
pub(in crate::cli) struct ClientEntry {
    /// The client.
    pub(in crate::cli) client: &'static str,
    /// The client's file.
    pub(in crate::cli) path: PathBuf,
    /// Whether the file belongs to the project in the current folder.
    pub(in crate::cli) is_of_project: bool,
    /// Whether the server is limited to a project or a batch.
    pub(in crate::cli) is_limited: bool,
    /// The command that limits it.
    pub(in crate::cli) limiting_command: String,
}

/// The entries in the files of the current folder and of the user. A file that cannot be read, or is not in its client's
/// format, has none: the client will report that.
pub(in crate::cli) fn client_entries() -> Vec<ClientEntry> {
    // A current folder that was removed has no files: relative paths lead nowhere.
    let folders = Folders::with_project(std::env::current_dir().unwrap_or_default());
    let scopes = |client| [(client, Scope::Project), (client, Scope::User)];
    ClientProgram::all()
        .flat_map(scopes)
        .filter_map(|(client, scope)| entry_of(client, scope, &folders))
        .collect()
}

fn entry_of(client: ClientProgram, scope: Scope, folders: &Folders) -> Option<ClientEntry> {
    let path = client.file(scope, folders).ok()?.path;
    let arguments = arguments_in(&path, client.format())?;
    let is_limited = |argument: &String| {
        ["--project", "--batch"]
            .iter()
            .any(|option| argument == option || argument.starts_with(&format!("{option}=")))
    };
    Some(ClientEntry {
        client: client.title(),
        path,
        is_of_project: scope == Scope::Project,
        is_limited: arguments.iter().any(is_limited),
        limiting_command: match scope {
            // The default is the project with the name of the folder.
            Scope::Project => format!("tasktally init {} --scope project --write", client.name()),
            Scope::User => format!("tasktally init {} --scope user --project NAME --write", client.name()),
        },
    })
}

/// The arguments with which the file starts the server; `None` if it has no such entry.
fn arguments_in(path: &Path, format: ConfigFormat) -> Option<Vec<String>> {
    let text = read(path).ok()??.text;
    let entry = match format {
        ConfigFormat::Json { list, .. } => json::entry(&text, list)?,
        ConfigFormat::Toml => toml::entry(&text)?,
    };
    let arguments = entry.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
    Some(arguments.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}
