//! `tasktally import`: a new store from an export.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::input_file::open_regular;
use super::store_address::{address_text, sign_in_address};
use super::store_contents::{contents_as_json, describe_contents};
use super::store_path::command_prefix;
use crate::clock::Clock;
use crate::disk_space::check_space;
use crate::error::Result;
use crate::model::text::{agreeing, counted};
use crate::store::sqlite::transfer::{ReportProgress, StoreContents};
use crate::store::{postgres, sqlite};
use crate::terminal::{ProgressLine, escape_hidden, print_line};
use crate::work::AgentFolders;

/// Make a new store from an export.
///
/// The store that --db names must not exist yet, or must be empty: an import never merges two stores. Every
/// line is checked, every receipt against the one before it, and the whole file against the SHA-256 in its
/// last line. The first error is reported with its line number, and no store is created.
///
/// The new store equals the old one: ids, numbers, hashes, the stored responses of idempotency keys, and
/// claims with their tokens and leases. A worker that holds a claim can continue on the new store, so stop
/// all processes before you move a store. If the workers do not move with it, tasktally reset-stalled-tasks
/// --hours 0 releases their claims. Changes to one store never reach the other: use only one of them.
///
/// If the file contains a batch of tasktally run, the author of the file chose the command of its workers.
/// tasktally run --resume shows this command, and runs it only with --imported-command.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The file to read; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// The nearest folder above the store that exists.
fn existing_folder(store: &Path) -> PathBuf {
    let folders = store.ancestors().skip(1);
    folders.map(Path::to_owned).find(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from("."))
}

fn import_store(
    input: &mut dyn BufRead,
    source: &str,
    store: &Path,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<StoreContents> {
    match address_text(store) {
        Some(address) => postgres::transfer::import(
            input,
            source,
            &sign_in_address(address, &AgentFolders::default())?,
            clock,
            report,
        ),
        None => sqlite::transfer::import(input, source, store, clock, report),
    }
}

/// Reads the lines, and prints what the new store holds.
pub(super) fn run(request: &Import, store: &Path, json: bool, out: &mut impl Write) -> Result<u8> {
    let progress = ProgressLine::new(json);
    let report = &mut |phase: &str, done, total| progress.update(phase, done, total);
    let clock = Clock::system();
    let contents = if request.file == Path::new("-") {
        import_store(&mut std::io::stdin().lock(), "standard input", store, &clock, report)?
    } else {
        let name = request.file.display().to_string();
        let file = open_regular("FILE", &request.file)?;
        // The new store has about the size of the export.
        let bytes = file.metadata().map_or(0, |file| file.len());
        let folder = match address_text(store) {
            Some(_) => std::env::temp_dir(),
            None => existing_folder(store),
        };
        check_space(&folder, bytes, &format!("the import of {name}"))?;
        import_store(&mut BufReader::with_capacity(1 << 16, file), &name, store, &clock, report)?
    };
    drop(progress);
    let claims = match contents.claims {
        0 => String::new(),
        count => format!(
            "; {} {} imported: if their holders do not use the new store, {} reset-stalled-tasks --hours 0 releases the claims",
            counted(count, "claim"),
            agreeing(count, "was", "were"),
            command_prefix(store)
        ),
    };
    let message = format!("Imported {} into {}{claims}", describe_contents(&contents), store.display());
    let text = if json { contents_as_json(&contents, &message).to_string() } else { escape_hidden(&message) };
    print_line(out, &text)?;
    Ok(0)
}
