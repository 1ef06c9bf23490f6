//! `tasktally backup`: a copy of the store in one file.

use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde_json::json;

use super::bar::Bar;
use super::render::{safe, say};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::sqlite::transfer::{self, Held};

/// A copy of the store in one file, taken while others write.
///
/// It holds all that was acknowledged before it began, is read back (SQLite's integrity check, every
/// receipt's hash chain, the counts) and only then appears under its name; whoever writes meanwhile is not
/// held up. Who runs a batch at that moment is left out.
///
/// To restore it: stop everyone, move the store and what lies beside it under its name (-wal, -shm) away,
/// and copy the backup to the store's place; or name it with --db. Claims come back with their leases, and
/// a tasktally serve goes on with open batches that have a worker profile: don't let it at a backup while the
/// store itself is still worked.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The file to make
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Let it take the place of a file that is there
    #[arg(long)]
    replace: bool,
}

/// Makes it, and says what is in it and how to use it.
pub(super) fn run(request: &Backup, store: &Path, json: bool, out: &mut impl Write) -> Result<u8> {
    if request.file == Path::new("-") {
        return Err(Error::invalid(
            "FILE: a backup is read back before it is kept, so it cannot go to standard output as - would mean; name a file (./- for one called so)",
        ));
    }
    let bar = Bar::new(json);
    let tell = &mut |what: &str, done, of| bar.show(what, done, of);
    let held = transfer::backup(store, &request.file, request.replace, &Clock::system(), tell)?;
    drop(bar);
    let (file, store) = (request.file.display(), store.display());
    let message = format!("Backed up {} to {file} ({})", told(&held), HumanBytes(held.bytes));
    let restore = format!(
        "stop everyone, move {store} and what lies beside it under its name (-wal, -shm) away, copy {file} to {store}; or use it where it is with --db {file}"
    );
    let text = if json {
        let mut reply = reply(&held, &message);
        reply["file"] = json!(request.file.display().to_string());
        reply["restore"] = json!(restore);
        reply.to_string()
    } else {
        safe(&format!("{message}\nTo restore it: {restore}"))
    };
    say(out, &text)?;
    Ok(0)
}

/// What a store holds, in a sentence.
pub(super) fn told(held: &Held) -> String {
    let last = match held.changed {
        Some(at) => format!("up to change {} of {at}", held.change),
        None => "with nothing in it yet".to_owned(),
    };
    format!("{} tasks and {} receipts, {last}", held.tasks, held.receipts)
}

/// The same for a script.
pub(super) fn reply(held: &Held, message: &str) -> serde_json::Value {
    json!({
        "success": true,
        "message": message,
        "tasks": held.tasks,
        "receipts": held.receipts,
        "claims": held.claims,
        "change": held.change,
        "changed": held.changed,
        "bytes": held.bytes,
    })
}
