//! `tasktally export`: all that is stored, as JSON lines.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::backup::{reply, told};
use super::bar::Bar;
use super::render::{safe, say};
use crate::clock::Clock;
use crate::error::Result;
use crate::store::sqlite::transfer::{self, Destination};

/// All that is stored, as JSON lines.
///
/// The first line tells the format and how many lines of each kind follow; then a line a task, receipt,
/// batch, chunk, item and so on, as they all stood at one moment; the last line holds the number of lines
/// and a SHA-256 of them, by which tasktally import knows a file that was cut or changed. The lines are
/// written from a copy, which takes as much room as the store, beside FILE or else beside the store.
///
/// Claims and their tokens are in it: it is as private as the store. Left out is what is true only here
/// and now: who runs a batch, and the search index, which an import makes anew.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The file to make; - for standard output [default: standard output]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Let it take the place of a file that is there
    #[arg(long, requires = "file")]
    replace: bool,
}

/// Writes the lines; what a person is told goes to standard error where the lines go to standard output.
pub(super) fn run(request: &Export, store: &Path, json: bool, out: &mut impl Write) -> Result<u8> {
    let bar = Bar::new(json);
    let tell = &mut |what: &str, done, of| bar.show(what, done, of);
    let clock = Clock::system();
    let Some(path) = request.file.as_deref().filter(|path| *path != Path::new("-")) else {
        transfer::export(store, Destination::Stream(out), &clock, tell)?;
        return Ok(0);
    };
    let destination = Destination::File { path, replace: request.replace };
    let (held, lines) = transfer::export(store, destination, &clock, tell)?;
    drop(bar);
    let message = format!("Exported {} to {}, in {lines} lines", told(&held), path.display());
    let text = if json {
        let mut reply = reply(&held, &message);
        reply["file"] = json!(path.display().to_string());
        reply["lines"] = json!(lines);
        reply.to_string()
    } else {
        safe(&message)
    };
    say(out, &text)?;
    Ok(0)
}
