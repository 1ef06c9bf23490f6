//! `tasktally export`: everything in the store, as JSON lines.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::store_address::{address_text, sign_in_address};
use super::store_contents::{contents_as_json, describe_contents};
use crate::clock::Clock;
use crate::error::Result;
use crate::model::text::counted;
use crate::store::sqlite::transfer::{Destination, ReportProgress, StoreContents};
use crate::store::{postgres, sqlite};
use crate::terminal::{ProgressLine, escape_hidden, print_line, recognise_closed_output};
use crate::work::AgentFolders;

/// Export everything in the store as JSON lines.
///
/// The first line names the format and how many lines of each kind follow. Then there is one line for each
/// task, receipt, batch, chunk, item and so on, all from one moment. The last line holds the number of lines
/// and their SHA-256. With them, tasktally import detects a truncated or changed file. The lines are written
/// from a copy of the store, which needs as much free space as the store, in the folder of FILE, or of the
/// store if the output is standard output (of a store in PostgreSQL, in the folder that TMPDIR names).
///
/// The export contains claims and their tokens, so keep it as private as the store. It leaves out what only
/// applies to this store now: which runner works on which batch, and the search index, which an import
/// builds again.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The file to write; - for standard output [default: standard output]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Replace FILE if it exists
    #[arg(long, requires = "file")]
    replace: bool,
}

fn export_store(
    store: &Path,
    destination: Destination<'_>,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<(StoreContents, u64)> {
    match address_text(store) {
        Some(address) => postgres::transfer::export(
            &sign_in_address(address, &AgentFolders::default())?,
            destination,
            clock,
            report,
        ),
        None => sqlite::transfer::export(store, destination, clock, report),
    }
}

/// Writes the lines. If they go to standard output, nothing else is written there.
pub(super) fn run(request: &Export, store: &Path, json: bool, out: &mut impl Write) -> Result<u8> {
    let progress = ProgressLine::new(json);
    let report = &mut |phase: &str, done, total| progress.update(phase, done, total);
    let clock = Clock::system();
    let Some(path) = request.file.as_deref().filter(|path| *path != Path::new("-")) else {
        export_store(store, Destination::Stream(out), &clock, report).map_err(recognise_closed_output)?;
        return Ok(0);
    };
    let destination = Destination::File { path, replace: request.replace };
    let (contents, lines) = export_store(store, destination, &clock, report)?;
    drop(progress);
    let message = format!(
        "Exported {} to {}, in {}",
        describe_contents(&contents),
        path.display(),
        counted(lines, "line")
    );
    let text = if json {
        let mut reply = contents_as_json(&contents, &message);
        reply["file"] = json!(path.display().to_string());
        reply["lines"] = json!(lines);
        reply.to_string()
    } else {
        escape_hidden(&message)
    };
    print_line(out, &text)?;
    Ok(0)
}
