//! `tasktally man`: manual pages, from the same definition as the help texts.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man as Page;

use super::command_line::documented_command;
use crate::error::{Error, Result};
use crate::terminal::print_line;

/// Write a manual page for each command, or print the one of the program.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
To read the pages without installing them:
  tasktally man | man -l -
To install them for your user, where `man tasktally-run` finds them:
  tasktally man ~/.local/share/man/man1")]
pub(super) struct Man {
    /// The folder for the pages: tasktally.1, tasktally-run.1 and so on [default: print tasktally.1]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the page of the program, or writes the pages of all commands.
///
/// # Errors
/// A file or the output cannot be written.
pub(super) fn run(options: &Man, out: &mut impl Write) -> Result<u8> {
    // Gives every command its full name.
    let mut program = documented_command();
    program.build();
    let Some(folder) = &options.folder else {
        let page = text_of(program)?;
        print_line(out, page.trim_end())?;
        return Ok(0);
    };
    let cannot = |path: &Path, error: io::Error| {
        Error::invalid(format!(
            "{}: the manual pages cannot be written there: {error}. Name a folder that can be written",
            path.display()
        ))
    };
    fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    let mut count = 0;
    for command in with_subcommands(program) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let path = folder.join(format!("{name}.1"));
        let text = text_of(command)?;
        write_page(folder, &path, &text).map_err(|error| cannot(&path, error))?;
        count += 1;
    }
    print_line(out, &format!("{count} manual pages are in {}", folder.display()))?;
    Ok(0)
}

/// Writes a page to a new file, which then replaces what has its name: in a folder that others may write to, a link with that
/// name leads to another file, and a FIFO waits for a reader.
fn write_page(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let readable = Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A command and all that are below it, without the ones that clap adds.
fn with_subcommands(command: Command) -> Vec<Command> {
    let below = command.get_subcommands().filter(|command| command.get_name() != "help").cloned();
    let below: Vec<Command> = below.flat_map(with_subcommands).collect();
    std::iter::once(command).chain(below).collect()
}

/// The page of one command.
fn text_of(command: Command) -> Result<String> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    Page::new(command.name(name))
        .render(&mut text)
        .map_err(|error| Error::internal("a manual page cannot be written", error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
