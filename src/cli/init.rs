//! `tasktally init`: the configuration that connects an MCP client, printed or merged into its file.

mod client;
mod file;
mod json;
mod json_text;
mod toml;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::prompts::SERVER_KEY;
pub use client::Client;
use client::{Format, Server};

/// Print the configuration that connects an MCP client, or merge it into the client's file.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The client to connect; none prints the configuration for all of them
    #[arg(value_enum)]
    pub client: Option<Client>,

    /// Merge the configuration into the client's file, keeping the rest and a backup beside it
    #[arg(long)]
    pub write: bool,

    /// The task file that the server opens; none leaves it to the server
    #[arg(long, value_name = "PATH")]
    pub db: Option<PathBuf>,
}

impl Init {
    /// Prints the configuration, or merges it into the client's file and says what changed.
    ///
    /// # Errors
    /// A client that isn't named with `--write`, and a file that can't be merged into: the
    /// configuration is then printed, to be added by hand.
    pub fn run(self, out: &mut dyn Write) -> Result<()> {
        let exe = std::env::current_exe()
            .map_err(|error| Error::internal("cannot tell where this program's file is", error))?;
        let server = Server::new(&exe, self.db.as_deref())?;
        match (self.client, self.write) {
            (Some(client), true) => {
                let here = Path::new("");
                merge(client, &server, &client.file(here, codex_home().as_deref())?, out)
            }
            (None, true) => Err(Error::invalid(format!(
                "--write needs the client whose file is to be changed: tasktally init CLIENT --write, with CLIENT one of {}.",
                Client::names()
            ))),
            (Some(client), false) => print(out, &client.snippet(&server)?),
            (None, false) => print_all(&server, out),
        }
    }
}

/// Codex keeps one file a user: in `CODEX_HOME`, else in `.codex` in the home folder.
fn codex_home() -> Option<PathBuf> {
    match std::env::var_os("CODEX_HOME") {
        Some(home) if !home.is_empty() => Some(PathBuf::from(home)),
        _ => std::env::home_dir().map(|home| home.join(".codex")),
    }
}

fn print_all(server: &Server, out: &mut dyn Write) -> Result<()> {
    for (number, client) in Client::all().enumerate() {
        let gap = if number == 0 { "" } else { "\n" };
        print(out, &format!("{gap}# {}: {}\n", client.title(), client.shown_file()))?;
        print(out, &client.snippet(server)?)?;
    }
    Ok(())
}

fn merge(client: Client, server: &Server, path: &Path, out: &mut dyn Write) -> Result<()> {
    match merged(client, server, path) {
        Ok(Outcome::Unchanged) => print(
            out,
            &format!("{}: {SERVER_KEY} is already in {}, nothing to do.\n", client.title(), path.display()),
        ),
        Ok(Outcome::Written { replaced, backup }) => {
            let verb = if replaced { "changed" } else { "added" };
            let kept = match backup {
                Some(backup) => format!(" (what was there is in {})", backup.display()),
                None => " (a new file)".to_owned(),
            };
            print(out, &format!("{}: {verb} {SERVER_KEY} in {}{kept}.\n", client.title(), path.display()))
        }
        Err(error) => {
            print(out, &format!("# to add to {} by hand:\n", path.display()))?;
            print(out, &client.snippet(server)?)?;
            Err(error)
        }
    }
}

/// What a merge did to the client's file.
enum Outcome {
    Unchanged,
    Written { replaced: bool, backup: Option<PathBuf> },
}

fn merged(client: Client, server: &Server, path: &Path) -> Result<Outcome> {
    let before = file::read(path)?;
    let text = before.as_ref().map_or("", |file| file.text.as_str());
    let merge = match client.format() {
        Format::Json { list, typed } => json::merge(text, list, &server.fields(typed)),
        Format::Toml => toml::merge(text, server),
    };
    let merged = merge.map_err(|reason| {
        Error::new(
            Code::Conflict,
            format!("{} was left as it is: {reason}. Add the configuration above by hand.", path.display()),
        )
    })?;
    match merged {
        None => Ok(Outcome::Unchanged),
        Some(Merged { text, replaced }) => {
            let backup = file::write(path, before.as_ref(), &text)?;
            Ok(Outcome::Written { replaced, backup })
        }
    }
}

/// A client's file with the server in it.
#[derive(Debug)]
struct Merged {
    text: String,
    /// Whether there was such a server already, with other values.
    replaced: bool,
}

fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes()).map_err(|error| Error::internal("cannot write the output", error))
}

#[cfg(test)]
mod tests;
