//! `tasktally watch --plain`: one line per change, for logs and for terminals without a screen.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::board::{Board, StatusChange};
use super::format::{count, duration, percent};
use super::poller::Poller;
use crate::error::{Error, Result};
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::ops::{GetBatch, Operation, Session};
use crate::terminal::{escape_hidden, output_error, with_commands};

/// How often the store is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The least time between two lines that report only progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// A change as a line for a person, and as an event for a script.
type Event = (String, Value);

/// Prints lines until the batch has ended or is paused. The exit code is 1 if something failed, or if the batch was
/// cancelled or is paused.
pub(super) fn run(session: &Session, batch: &TaskId, prefix: &str, json: bool) -> Result<u8> {
    let print = |event: &Event| print_event(event, json);
    let mut poller = Poller::new(batch.clone(), prefix);
    let mut board = Board::new(poller.poll(session)?);
    print(&batch_event(&board, prefix))?;
    for chunk in
        board.chunks.iter().filter(|chunk| chunk.status == Status::InProgress || chunk.needs_person())
    {
        print(&chunk_event(&board, chunk.number))?;
    }
    let (mut last_processed, mut last_progress) = (board.header.counts.processed(), Instant::now());
    while !has_ended(board.header.status) {
        std::thread::sleep(POLL_INTERVAL);
        let stopped_before = board.header.stopped.clone();
        let changes = board.apply(poller.poll(session)?);
        if board.header.stopped != stopped_before && !changes.contains(&StatusChange::Batch) {
            print(&batch_event(&board, prefix))?;
        }
        for change in changes {
            print(&match change {
                StatusChange::Chunk(number) => chunk_event(&board, number),
                StatusChange::Batch => batch_event(&board, prefix),
            })?;
        }
        let processed = board.header.counts.processed();
        if processed != last_processed
            && last_progress.elapsed() >= PROGRESS_INTERVAL
            && !has_ended(board.header.status)
        {
            (last_processed, last_progress) = (processed, Instant::now());
            print(&progress_event(&board))?;
        }
    }
    if json {
        let mut done = serde_json::to_value(GetBatch::progress_of(batch.clone()).run(session)?)
            .map_err(|error| Error::internal("the reply could not be written as JSON", error))?;
        done["event"] = "done".into();
        print(&(String::new(), done))?;
    }
    Ok(u8::from(board.header.status != BatchStatus::Done || board.header.counts.failed > 0))
}

/// Prints that there is nothing to watch.
pub(super) fn print_no_batch(json: bool) -> Result<()> {
    let text = "No batch is open. To see one that has ended, name it: tasktally watch BATCH";
    let event = json!({ "event": "done", "success": true, "message": text });
    print_event(&(text.to_owned(), event), json)
}

/// Whether nothing more happens by itself. The line of a paused batch has the reason and the command that resumes it.
fn has_ended(status: BatchStatus) -> bool {
    status.is_over() || status == BatchStatus::Paused
}

fn batch_event(board: &Board, prefix: &str) -> Event {
    let header = &board.header;
    let (processed, total) = (header.counts.processed(), header.counts.total);
    let mut text = format!("{} {}: {}, {processed} of {total} items", header.id, header.title, header.status);
    if header.counts.failed > 0 {
        text.push_str(&format!(", {} failed", header.counts.failed));
    }
    let failed_chunks = board.count_in(Status::Failed);
    if has_ended(header.status) && header.status != BatchStatus::Cancelled && header.has_unresolved_failures {
        if failed_chunks > 0 {
            text.push_str(&format!(", {}", count(failed_chunks, "failed chunk")));
        }
        let calls = format!(
            "get_batch(id=\"{0}\", view=\"failures\") shows why, control_batch(id=\"{0}\", action=\"retry\") opens them again",
            header.id
        );
        text.push_str(&format!("; {}", with_commands(&calls, prefix)));
    }
    if let Some(stopped) = &header.stopped {
        text.push_str(&format!("; {stopped}"));
    }
    if let Some(reason) = &header.paused {
        text.push_str(&format!("; paused: {}", with_commands(reason, prefix)));
    }
    if header.status == BatchStatus::Waiting && board.count_in(Status::Review) > 0 {
        let call = format!("review_batch(id=\"{}\", decision=\"approve\")", header.id);
        text.push_str(&format!("; to decide: {}", with_commands(&call, prefix)));
    }
    let event = json!({ "event": "batch", "batch": header.id, "title": header.title, "status": header.status,
        "processed": processed, "total": total, "failed": header.counts.failed,
        "stopped": header.stopped });
    (text, event)
}

fn chunk_event(board: &Board, number: u64) -> Event {
    let Some(chunk) = board.chunk(number) else { return (String::new(), Value::Null) };
    let (processed, total) = (chunk.counts.processed(), chunk.counts.total);
    let mut text =
        format!("{} {}: {}, {processed} of {total}", chunk.id, chunk.title, chunk.status.chunk_label());
    if chunk.counts.failed > 0 {
        text.push_str(&format!(", {} failed", chunk.counts.failed));
    }
    let worker = board.worker_of(number).map(|worker| worker.name.as_str());
    if let Some(worker) = worker {
        text.push_str(&format!(", by {worker}"));
    }
    let event = json!({ "event": "chunk", "chunk": chunk.id, "title": chunk.title, "status": chunk.status,
        "processed": processed, "total": total, "failed": chunk.counts.failed, "worker": worker });
    (text, event)
}

fn progress_event(board: &Board) -> Event {
    let header = &board.header;
    let (processed, total) = (header.counts.processed(), header.counts.total);
    let (done, work) = board.work();
    let mut text = format!("{processed} of {total} items, {} %", percent(done, work));
    if header.steps > 1 {
        text.push_str(&format!(", step {} of {}", header.step_number, header.steps));
    }
    if let Some(rate) = header.per_minute {
        text.push_str(&format!(", {rate:.0} per minute"));
    }
    if let Some(seconds) = header.seconds_left {
        text.push_str(&format!(", {} left", duration(seconds)));
    }
    let event = json!({ "event": "progress", "processed": processed, "total": total,
        "per_minute": header.per_minute, "seconds_left": header.seconds_left });
    (text, event)
}

fn print_event((text, event): &Event, json: bool) -> Result<()> {
    let line = if json { event.to_string() } else { escape_hidden(text) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(output_error)
}
