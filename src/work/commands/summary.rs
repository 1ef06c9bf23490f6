//! What `tasktally run` and `tasktally work` print at the end.

use std::io::Write;
use std::time::Instant;

use serde_json::Value;

use super::summary_table::summary_table;
use crate::error::{Error, Result};
use crate::model::batch::Batch;
use crate::model::id::TaskId;
use crate::model::text::counted;
use crate::ops::views::chunk_files;
use crate::ops::{GetBatch, Operation, Session, failures_of, find_batch};
use crate::terminal::with_commands;
use crate::work::progress::ProgressMode;

/// The summary of a batch at the end of a run.
pub(super) struct Summary<'a> {
    pub(super) session: &'a Session,
    /// How tasktally is called for this store.
    pub(super) program: &'a str,
    pub(super) batch: &'a TaskId,
    pub(super) mode: ProgressMode,
    /// Whether the store is deleted after the run, so that no command for it is printed.
    pub(super) store_is_temporary: bool,
}

impl Summary<'_> {
    /// Prints a table, or the `done` event of JSON mode. `processed` items were settled since `started_at`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn print(&self, started_at: Instant, processed: u64) -> Result<()> {
        let Summary { session, program, batch, mode, store_is_temporary } = *self;
        let reply = GetBatch::progress_of(batch.clone()).run(session)?;
        if mode == ProgressMode::Json {
            let mut event = serde_json::to_value(reply)
                .map_err(|error| Error::internal("the reply could not be written as JSON", error))?;
            if let Value::Object(map) = &mut event {
                map.insert("event".into(), "done".into());
            }
            print_line(&event.to_string());
            return Ok(());
        }
        let seconds = started_at.elapsed().as_secs_f64();
        print_line(&summary_table(session, batch)?);
        print_line(&format!("{} in {seconds:.1} s{}", counted(processed, "item"), rate(processed, seconds)));
        if store_is_temporary {
            return Ok(());
        }
        print_line(&format!("Receipts: {program} get-batch {batch} --view receipts"));
        print_line(&files(session, batch));
        print_line(&report_and_check(program, batch.as_str()));
        print_failures(session, program, batch, reply.next.as_deref())
    }
}

/// How many items were processed per second; nothing for so few that the number says nothing.
fn rate(processed: u64, seconds: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a count of items")]
    let rate = processed as f64 / seconds.max(0.001);
    match processed {
        0 | 1 => String::new(),
        _ if rate < 1.0 => format!(", {:.0} per minute", rate * 60.0),
        _ => format!(", {rate:.0} per second"),
    }
}

/// The commands for the report of a batch and for the check of the store.
pub fn report_and_check(program: &str, batch: &str) -> String {
    format!("Report: {program} report {batch}\nCheck: {program} verify")
}

/// Prints what failed and the next commands. A failure stays visible until a retry or a person resolves it.
fn print_failures(session: &Session, program: &str, id: &TaskId, next: Option<&str>) -> Result<()> {
    let wanted = id.clone();
    let (failed, batch) = session.read(move |tx| {
        let (task, batch) = find_batch(tx, &wanted)?;
        Ok((failures_of(tx, &task, &batch)?, batch))
    })?;
    if failed.is_none() {
        return Ok(());
    }
    print_line(&format!("{}.", failed.summary()));
    match next.filter(|_| failed.are_unresolved()) {
        None => {}
        Some(_) if batch.ended_chunks >= batch.chunk_count => {
            print_line("Next:");
            for (what_for, command) in resolving_commands(id, &batch) {
                print_line(&format!("  {what_for:<17}  {program} {command}"));
            }
        }
        Some(next) => print_line(&format!("Next: {}", with_commands(next, program))),
    }
    Ok(())
}

/// The commands that resolve the failures of a batch that has ended, each with what it is for. The longest stays within
/// 80 columns.
fn resolving_commands(id: &TaskId, batch: &Batch) -> Vec<(&'static str, String)> {
    let mut commands = vec![
        ("see why:", format!("get-batch {id} --view failures")),
        ("open them again:", format!("control-batch {id} --action retry")),
    ];
    // No runner starts by itself for a batch of `tasktally run`.
    if batch.run.is_some() && batch.profile.is_none() {
        commands.push(("  and work on it:", format!("run --resume {id}")));
    }
    commands.push(("a person accepts:", format!("review-batch {id} --decision approve")));
    commands
}

/// Where the files of a batch are, or that there are none.
fn files(session: &Session, batch: &TaskId) -> String {
    match chunk_files::existing_folder(session, batch) {
        Some(folder) => format!("Files: {}", folder.display()),
        None => format!(
            "Files: none were written to {}; SCRATCHPAD names another folder",
            chunk_files::folder(session, batch).display()
        ),
    }
}

/// Prints a line on standard output. A closed pipe is no error: the work is done.
pub(super) fn print_line(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
