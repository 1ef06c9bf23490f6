//! `tasktally demo`: eight workers finish a batch in a store of their own, with nothing to prepare.

mod commit_items;
mod demo_folder;
mod demo_worker;
mod next_steps;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Args as _, Command, FromArgMatches as _};
use serde_json::json;

use self::demo_folder::DemoFolder;
use self::next_steps::next_steps;
use super::open_store::open_isolated;
use super::program_name::{typed_name, with_store};
use super::subcommand::Invocation;
use crate::error::{Error, Result};
use crate::terminal::print_line;
use crate::work::{self, RunEnd, StopSignal, running_executable};

pub(super) use demo_worker::{DEMO_WORKER, run as run_demo_worker};

/// Let eight workers sort 663 commits in a temporary store.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The demo needs nothing else: the items are in this program, and the workers are
this program too. It uses neither your store nor your configuration. It deletes
its own store at the end, also after Ctrl-C.")]
pub(super) struct Demo {
    /// Keep the store: in DIR, which must be new or empty, or else in a folder for temporary files
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    keep: Option<Option<PathBuf>>,
}

/// Runs the demo. Returns the exit code of `tasktally run`.
///
/// # Errors
/// `--db` was given, the folder cannot be created or written, or a worker cannot be started.
pub(super) fn run(call: Invocation<'_>) -> Result<u8> {
    let options: Demo = call.arguments()?;
    if call.matches.value_source("db") == Some(ValueSource::CommandLine) {
        return Err(Error::invalid(
            "--db: the demo has a store of its own; leave --db out, or name a folder for it with demo --keep DIR",
        ));
    }
    // Installed before the folder exists, so that no signal leaves the folder behind.
    let stop = StopSignal::install()?;
    let folder = DemoFolder::create(options.keep)?;
    let program = with_store(&typed_name(), &folder.store());
    let worked = work_batch(&folder, &program, call.json, &stop, call.out);
    let kept = folder.is_kept().then(|| folder.store());
    // What failed during the work is the cause of what fails afterwards.
    let (end, ()) = (worked?, folder.close()?);
    if !call.json && end.exit_code == 0 {
        print_line(call.out, &next_steps(kept.as_deref(), &program, &end.batch))?;
    } else if !call.json && kept.is_none() {
        print_line(call.out, "\nThe temporary store is deleted.")?;
    }
    Ok(end.exit_code)
}

/// Creates the batch in the folder and works it, as `tasktally run` does.
fn work_batch(
    folder: &DemoFolder,
    program: &str,
    json: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> Result<RunEnd> {
    let items = folder.write_items()?;
    let session = open_isolated(&folder.store())?.with_max_write_wait(None);
    if json {
        let (store, kept) = (folder.store(), folder.is_kept());
        print_line(out, &json!({ "event": "store", "path": store, "kept": kept }).to_string())?;
    } else {
        print_line(out, "Eight workers sort 663 commits of a real project. Every item gets a receipt.\n")?;
    }
    let options = run_options(&items)?;
    let options = if folder.is_kept() { options } else { options.in_temporary_store() };
    work::run_until(options, &session, program, json, stop)
}

/// The options with which a person would run the same batch.
fn run_options(items: &Path) -> Result<work::Run> {
    let words = ["run", "--title", "Sort the commits", "--split", "quarter:date", "--max-chunk", "100"];
    let words = words.into_iter().map(Into::into).chain([
        "--items".into(),
        items.as_os_str().to_owned(),
        "--".into(),
        running_executable()?.into_os_string(),
        DEMO_WORKER.into(),
    ]);
    let command = work::Run::augment_args(Command::new("run"));
    let parsed = command.try_get_matches_from(words).and_then(|found| work::Run::from_arg_matches(&found));
    parsed.map_err(|error| Error::invalid(error.to_string()))
}
