//! `tasktally init`: the configuration that connects an MCP client to the server, printed or written to the
//! client's file, and the skill for its agents.

mod client;
pub(super) mod entries;
mod file;
mod folders;
mod json;
mod merged;
mod server;
mod skill;
mod snippet;
mod target;
mod toml;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::package_runner::PackageRunner;
use super::program_name::typed_name;
use crate::error::{Code, Error, Result};
use crate::model::text::LineText;
use crate::prompts::SERVER_KEY;
use crate::terminal::escape_hidden;
use client::{ClientProgram, ConfigFormat, Scope};
use folders::Folders;
use merged::Merged;
use server::{ProgramCommand, ServerEntry};
use skill::write_skill;
use snippet::snippet;
use target::TargetFile;

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

    /// Write the skill batch-processing into the client's folder of skills: it says when and how an agent processes many
    /// items as a batch
    #[arg(long)]
    skill: bool,

    /// For whom the files are [default: project, or user for Codex and Windsurf]
    #[arg(long, value_enum)]
    scope: Option<Scope>,

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
    /// Prints the configuration, or writes what was asked for and prints what changed.
    ///
    /// # Errors
    /// If `--write` or `--skill` comes without a client, or a file cannot be changed. If that is the client's file, the
    /// configuration is printed, to be added by hand.
    pub(super) fn run(self, out: &mut dyn Write) -> Result<()> {
        let folders = Folders::of_process()?;
        let program = ProgramCommand::find(PackageRunner::detect()?)?;
        let scope_of = |client: ClientProgram| self.scope.unwrap_or_else(|| client.default_scope());
        let server_of = |client: ClientProgram| {
            let project = self.project_of(scope_of(client), &folders.project)?;
            ServerEntry::new(&program, self.db.as_deref(), project.as_deref())
        };
        let Some(client) = self.client else {
            if self.write || self.skill {
                let option = if self.write { "--write" } else { "--skill" };
                return Err(Error::invalid(format!(
                    "{option} needs the name of a client: tasktally init CLIENT {option}, with CLIENT one of {}",
                    ClientProgram::names()
                )));
            }
            print_all(scope_of, server_of, &folders, out)?;
            return explain(&format!("`{} init CLIENT --write` adds one to the client's file", typed_name()));
        };
        let scope = scope_of(client);
        let file = client.file(scope, &folders)?;
        if !self.write && !self.skill {
            print(out, &snippet(client, &server_of(client)?)?)?;
            return explain(&format!(
                "This belongs in {}. `{} init {} --write` adds it there and keeps what else the file has",
                shown(&file.path),
                typed_name(),
                client.name()
            ));
        }
        if self.write {
            write_to(client, &server_of(client)?, &file, out)?;
        }
        if self.skill {
            write_skill(client, scope, &folders, out)?;
        }
        if self.write { print(out, &format!("{}\n", client.next_step(scope))) } else { Ok(()) }
    }

    /// The project that a client's server is limited to. A file of the user serves all of the user's projects.
    ///
    /// # Errors
    /// The folder's name is no name of a project. A server for all projects is made only if the user asks for it: the name of
    /// the folder, which the author of a repository may have chosen, must not widen the access.
    fn project_of(&self, scope: Scope, folder: &Path) -> Result<Option<String>> {
        let named = self.project.as_ref().and_then(LineText::non_empty);
        if named.is_some() || scope != Scope::Project || self.all_projects {
            return Ok(named.map(str::to_owned));
        }
        project_of_folder(folder).map(Some).ok_or_else(|| {
            Error::invalid(format!(
                "{}: the name of this folder cannot be the name of a project; name one with --project PROJECT, or give access to all with --all-projects",
                folder.display()
            ))
        })
    }
}

/// The folder's name, if it is one line of visible characters.
fn project_of_folder(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?.parse::<LineText>().ok()?.non_empty()?.to_owned();
    (escape_hidden(&name) == name).then_some(name)
}

/// Prints the configuration for each client that has a file of this scope.
fn print_all(
    scope_of: impl Fn(ClientProgram) -> Scope,
    server_of: impl Fn(ClientProgram) -> Result<ServerEntry>,
    folders: &Folders,
    out: &mut dyn Write,
) -> Result<()> {
    let mut gap = "";
    for client in ClientProgram::all() {
        let Ok(file) = client.file(scope_of(client), folders) else { continue };
        print(out, &format!("{gap}# {}: {}\n", client.title(), shown(&file.path)))?;
        print(out, &snippet(client, &server_of(client)?)?)?;
        gap = "\n";
    }
    Ok(())
}

/// Adds the server to the client's file and prints what changed.
fn write_to(
    client: ClientProgram,
    server: &ServerEntry,
    file: &TargetFile,
    out: &mut dyn Write,
) -> Result<()> {
    match update_file(client, server, file) {
        Ok(Outcome::Unchanged) => print(
            out,
            &format!("{}: {SERVER_KEY} is already in {}, nothing to do\n", client.title(), shown(&file.path)),
        ),
        Ok(Outcome::Written { path, previous, backup }) => {
            let verb = if previous.is_some() { "replaced" } else { "added" };
            let file = written(&path, backup.as_deref());
            print(out, &format!("{}: {verb} {SERVER_KEY} in {file}\n", client.title()))?;
            if let Some(previous) = previous {
                print(out, "Nothing of the earlier entry was kept. It was:\n")?;
                for line in previous.trim().lines() {
                    print(out, &format!("    {}\n", escape_hidden(line)))?;
                }
                print(out, "If you wrote settings there that you need, add them again\n")?;
            }
            Ok(())
        }
        Err(error) => {
            print(out, &format!("# add this to {} by hand:\n", shown(&file.path)))?;
            print(out, &snippet(client, server)?)?;
            Err(error)
        }
    }
}

/// What happened to the client's file.
enum Outcome {
    Unchanged,
    Written { path: PathBuf, previous: Option<String>, backup: Option<PathBuf> },
}

fn update_file(client: ClientProgram, server: &ServerEntry, file: &TargetFile) -> Result<Outcome> {
    let (path, before) = file.open()?;
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
            let backup = file::write(&path, before.as_ref(), &text)?;
            Ok(Outcome::Written { path, previous, backup })
        }
    }
}

/// A file that was written, with its backup, for a message.
fn written(path: &Path, backup: Option<&Path>) -> String {
    match backup {
        Some(backup) => format!("{} (backup: {})", shown(path), shown(backup)),
        None => format!("{} (a new file)", shown(path)),
    }
}

/// A path with its control characters escaped: a repository chooses the names of its folders.
fn shown(path: &Path) -> String {
    escape_hidden(&path.display().to_string()).replace('\n', "\\n")
}

/// Prints a line for the person. Standard output has the configuration alone, for a file.
fn explain(text: &str) -> Result<()> {
    writeln!(std::io::stderr(), "{text}").map_err(|error| Error::internal("cannot write the output", error))
}

fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes()).map_err(|error| Error::internal("cannot write the output", error))
}

#[cfg(test)]
mod tests;
