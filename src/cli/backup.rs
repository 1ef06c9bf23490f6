//! `tasktally backup`: a copy of the store in one file.

use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde_json::json;

use super::store_address::address_text;
use super::store_contents::{contents_as_json, describe_contents};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::sqlite::transfer;
use crate::terminal::{ProgressLine, escape_hidden, print_line, shell_word};

/// Copy the store to one file, while others write to it.
///
/// The backup holds everything that was acknowledged before the command started. It is written under a
/// temporary name and checked before it is renamed to FILE: SQLite's integrity check, the hash chain of every
/// receipt, and the counts. Other processes can write during the backup. The backup does not contain which
/// runner works on which batch.
///
/// To restore a backup, stop every process that uses the store, move the store and the files beside it
/// (-wal, -shm) away, and copy the backup to the store's path. Or use the backup where it is, with --db.
/// Claims are restored with their leases. A tasktally serve starts runners for open batches that have a
/// worker profile, so do not run it on a backup while the store itself is in use.
///
/// A store in PostgreSQL is backed up with pg_dump, or with tasktally export.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace FILE if it exists
    #[arg(long)]
    replace: bool,
}

/// The refusal of a store in PostgreSQL, with what to do instead.
fn refuse_database(store: &Path, file: &Path) -> Error {
    let (store, file) = (shell_word(&store.to_string_lossy()), shell_word(&file.to_string_lossy()));
    Error::invalid(format!(
        "the store is in PostgreSQL, whose own programs make backups while others write: `pg_dump --format=custom --file={file} {store}` writes one file, which pg_restore brings back. Or write everything as JSON lines, which can be imported into either database: `tasktally --db {store} export {file}`"
    ))
}

/// Writes the backup, and prints what it holds and how to restore it.
pub(super) fn run(request: &Backup, store: &Path, json: bool, out: &mut impl Write) -> Result<u8> {
    if request.file == Path::new("-") {
        return Err(Error::invalid(
            "FILE: '-' would write to standard output, but a backup is read back to check it; name a file (./- for a file with that name)",
        ));
    }
    if address_text(store).is_some() {
        return Err(refuse_database(store, &request.file));
    }
    let progress = ProgressLine::new(json);
    let report = &mut |phase: &str, done, total| progress.update(phase, done, total);
    let contents = transfer::backup(store, &request.file, request.replace, &Clock::system(), report)?;
    drop(progress);
    let (file, store) = (request.file.display(), store.display());
    let message =
        format!("Backed up {} to {file} ({})", describe_contents(&contents), HumanBytes(contents.bytes));
    let restore = format!(
        "stop every process that uses {store}, move it and the files beside it ({store}-wal, {store}-shm) away, and copy {file} to {store}; or use the backup where it is, with --db {file}"
    );
    let text = if json {
        let mut reply = contents_as_json(&contents, &message);
        reply["file"] = json!(request.file.display().to_string());
        reply["restore"] = json!(restore);
        reply.to_string()
    } else {
        escape_hidden(&format!("{message}\nTo restore it: {restore}"))
    };
    print_line(out, &text)?;
    Ok(0)
}
