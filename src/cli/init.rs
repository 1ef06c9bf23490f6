//! `tasktally init`: the configuration that connects an MCP client to the server, printed or written to the
//! client's file.

mod client;
mod file;
mod json;
mod merged;
mod server;
mod snippet;
mod toml;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::model::text::LineText;
use crate::prompts::SERVER_KEY;
use crate::terminal::escape_hidden;
use client::{ClientProgram, ConfigFormat};
use merged::Merged;
use server::ServerEntry;
use snippet::snippet;

/// Print the configuration for an MCP client, or write it to the client's file.
#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// The client to connect [default: print the configuration for every client]
    #[arg(value_enum)]
    client: Option<ClientProgram>,

    /// Add the configuration to the client's file, in place of an earlier entry of the server; the rest of the file is
    /// kept, and a backup is made beside it
    #[arg(long)]
    write: bool,

    /// The store that the server opens [default: the server's own default]
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,

    /// The project whose tasks the server gives access to [default: the name of this folder, if the client's file belongs to
    /// the project]
    #[arg(long, value_name = "PROJECT", conflicts_with = "all_projects")]
    project: Option<LineText>,

    /// Let the server give access to the tasks of all projects
    #[arg(long)]
    all_projects: bool,
}

impl Init {
    /// Prints the configuration, or adds it to the client's file and prints what changed.
    ///
    /// # Errors
    /// If `--write` comes without a client, or the client's file cannot be changed. In the second case the
    /// configuration is printed, to be added by hand.
    pub(super) fn run(self, out: &mut dyn Write) -> Result<()> {
        let exe = std::env::current_exe()
            .map_err(|error| Error::internal("the path of this program cannot be found", error))?;
        let folder = std::env::current_dir()
            .map_err(|error| Error::internal("the current folder cannot be found", error))?;
        let path = std::env::var_os("PATH");
        let server_of = |client: ClientProgram| {
            let project = self.project_of(client, &folder);
            ServerEntry::new(&exe, path.as_deref(), self.db.as_deref(), project.as_deref())
        };
        match (self.client, self.write) {
            (Some(client), true) => {
                let file = client.file(&folder, codex_home().as_deref())?;
                write_to(client, &server_of(client)?, &file, out)
            }
            (None, true) => Err(Error::invalid(format!(
                "--write needs the name of a client: tasktally init CLIENT --write, with CLIENT one of {}",
                ClientProgram::names()
            ))),
            (Some(client), false) => print(out, &snippet(client, &server_of(client)?)?),
            (None, false) => print_all(server_of, out),
        }
    }

    /// The project that a client's server is limited to. A file of the user serves all of the user's projects.
    fn project_of(&self, client: ClientProgram, folder: &Path) -> Option<String> {
        let named = self.project.as_ref().and_then(LineText::non_empty).map(str::to_owned);
        let by_folder =
            || folder.file_name()?.to_str()?.parse::<LineText>().ok()?.non_empty().map(str::to_owned);
        let has_default = client.is_file_of_project() && !self.all_projects;
        named.or_else(|| if has_default { by_folder() } else { None })
    }
}

/// Codex has one file per user: in `CODEX_HOME`, else in `.codex` in the home folder.
fn codex_home() -> Option<PathBuf> {
    match std::env::var_os("CODEX_HOME") {
        Some(home) if !home.is_empty() => Some(PathBuf::from(home)),
        _ => std::env::home_dir().map(|home| home.join(".codex")),
    }
}

fn print_all(server_of: impl Fn(ClientProgram) -> Result<ServerEntry>, out: &mut dyn Write) -> Result<()> {
    for (number, client) in ClientProgram::all().enumerate() {
        let gap = if number == 0 { "" } else { "\n" };
        print(out, &format!("{gap}# {}: {}\n", client.title(), client.file_description()))?;
        print(out, &snippet(client, &server_of(client)?)?)?;
    }
    Ok(())
}

/// Adds the server to the client's file and prints what changed.
fn write_to(client: ClientProgram, server: &ServerEntry, path: &Path, out: &mut dyn Write) -> Result<()> {
    match update_file(client, server, path) {
        Ok(Outcome::Unchanged) => print(
            out,
            &format!("{}: {SERVER_KEY} is already in {}, nothing to do\n", client.title(), path.display()),
        ),
        Ok(Outcome::Written { file, previous, backup }) => {
            let verb = if previous.is_some() { "replaced" } else { "added" };
            let backup = match backup {
                Some(backup) => format!(" (backup: {})", backup.display()),
                None => " (a new file)".to_owned(),
            };
            print(out, &format!("{}: {verb} {SERVER_KEY} in {}{backup}\n", client.title(), file.display()))?;
            if let Some(previous) = previous {
                print(out, "Nothing of the earlier entry was kept. It was:\n")?;
                for line in previous.trim().lines() {
                    print(out, &format!("    {}\n", escape_hidden(line)))?;
                }
                print(out, "If you wrote settings there that you need, add them again\n")?;
            }
            client.next_step().map_or(Ok(()), |next| print(out, &format!("{next}\n")))
        }
        Err(error) => {
            print(out, &format!("# add this to {} by hand:\n", path.display()))?;
            print(out, &snippet(client, server)?)?;
            Err(error)
        }
    }
}

/// What happened to the client's file.
enum Outcome {
    Unchanged,
    Written { file: PathBuf, previous: Option<String>, backup: Option<PathBuf> },
}

fn update_file(client: ClientProgram, server: &ServerEntry, path: &Path) -> Result<Outcome> {
    for folder in client.folders_of_project(path) {
        file::refuse_link(folder, path)?;
    }
    // A file of the user's own may be a link to where the user keeps it.
    let real = if client.is_file_of_project() { None } else { path.canonicalize().ok() };
    let path = real.as_deref().unwrap_or(path);
    let before = file::read(path)?;
    let text = before.as_ref().map_or("", |file| file.text.as_str());
    let merge = match client.format() {
        ConfigFormat::Json { list, typed } => json::merge(text, list, &server.fields(typed)),
        ConfigFormat::Toml => toml::merge(text, server),
    };
    let merged = merge.map_err(|reason| {
        Error::new(
            Code::Conflict,
            format!("{} was not changed: {reason}. Add the configuration above by hand", path.display()),
        )
    })?;
    match merged {
        None => Ok(Outcome::Unchanged),
        Some(Merged { text, previous }) => {
            let backup = file::write(path, before.as_ref(), &text)?;
            Ok(Outcome::Written { file: path.to_owned(), previous, backup })
        }
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes()).map_err(|error| Error::internal("cannot write the output", error))
}

#[cfg(test)]
mod tests;
