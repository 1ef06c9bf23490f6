//! `tasktally import`: a new store from what `tasktally export` wrote.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use super::backup::{reply, told};
use super::bar::Bar;
use super::render::{safe, say};
use super::shell::command_prefix;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::sqlite::transfer;

/// Make a new store from what tasktally export wrote.
///
/// The store that --db names must not be there yet, or be empty: two stores are never mixed. Every line is
/// looked at, every receipt held to the one before it, and the whole to the last line's SHA-256; the first
/// thing that is wrong is told by its line, and then nothing is changed. The store appears all at once.
///
/// Nothing is different in it: ids, numbers, hashes, answers kept for repeated requests, and claims with
/// their tokens and leases. Whoever holds a claim goes on with it here, so stop everyone before you move a
/// store; tasktally reset-stalled-tasks --hours 0 gives all claims back where their holders don't come along.
/// Two stores made of one don't know of each other: work only one of them.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The file to read; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Reads the lines and says what the store holds now.
pub(super) fn run(request: &Import, store: &Path, json: bool, out: &mut impl Write) -> Result<u8> {
    let bar = Bar::new(json);
    let tell = &mut |what: &str, done, of| bar.show(what, done, of);
    let clock = Clock::system();
    let held = if request.file == Path::new("-") {
        transfer::import(&mut std::io::stdin().lock(), "standard input", store, &clock, tell)?
    } else {
        let named = request.file.display().to_string();
        let file = File::open(&request.file)
            .map_err(|error| Error::invalid(format!("FILE: {named} cannot be opened")).caused_by(error))?;
        transfer::import(&mut BufReader::with_capacity(1 << 16, file), &named, store, &clock, tell)?
    };
    drop(bar);
    let claims = match held.claims {
        0 => String::new(),
        count => format!(
            "; {count} claims came along: {} reset-stalled-tasks --hours 0 gives them back if their holders don't",
            command_prefix(store)
        ),
    };
    let message = format!("Imported {} into {}{claims}", told(&held), store.display());
    let text = if json { reply(&held, &message).to_string() } else { safe(&message) };
    say(out, &text)?;
    Ok(0)
}
