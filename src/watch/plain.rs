//! `tasktally watch --plain`: a line a change, for logs and for whoever has no screen.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::board::{Board, Change};
use super::feed::Feed;
use super::words::{percent, span};
use crate::cli::safe;
use crate::error::{Error, Result};
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::ops::{GetBatch, Operation, Session};

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How much time lies between two lines that tell only of progress.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Writes lines until the batch has ended; gives the exit code: 0 where all went well, 1 where
/// something failed or it was cancelled.
pub(super) fn run(session: &Session, batch: &TaskId, json: bool) -> Result<u8> {
    let mut feed = Feed::new(batch.clone());
    let mut board = Board::new(feed.look(session)?);
    tell(json, &whole(&board))?;
    for chunk in
        board.chunks.iter().filter(|chunk| chunk.status == Status::InProgress || chunk.needs_person())
    {
        tell(json, &of_chunk(&board, chunk.number))?;
    }
    let (mut told, mut told_at) = (board.head.counts.processed(), Instant::now());
    while !is_over(board.head.status) {
        std::thread::sleep(LOOK_EVERY);
        for change in board.apply(feed.look(session)?) {
            let line = match change {
                Change::Chunk(number) => of_chunk(&board, number),
                Change::Batch => whole(&board),
            };
            tell(json, &line)?;
        }
        let processed = board.head.counts.processed();
        if processed != told && told_at.elapsed() >= TELL_EVERY && !is_over(board.head.status) {
            (told, told_at) = (processed, Instant::now());
            tell(json, &progress(&board))?;
        }
    }
    if json {
        let mut done = serde_json::to_value(GetBatch::progress_of(batch.clone()).run(session)?)
            .map_err(|error| Error::internal("the reply could not be written as JSON", error))?;
        done["event"] = "done".into();
        tell(json, &(String::new(), done))?;
    }
    Ok(u8::from(board.head.status != BatchStatus::Done || board.head.counts.failed > 0))
}

/// Says that there is nothing to watch.
pub(super) fn none(json: bool) -> Result<()> {
    let text = "No batch is open; tasktally watch BATCH tells of one that has ended";
    tell(json, &(text.to_owned(), json!({ "event": "done", "success": true, "message": text })))
}

fn is_over(status: BatchStatus) -> bool {
    matches!(status, BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled)
}

/// A line for a person, and the same for a script.
type Line = (String, Value);

fn whole(board: &Board) -> Line {
    let head = &board.head;
    let (processed, total) = (head.counts.processed(), head.counts.total);
    let mut text = format!("{} {}: {}, {processed} of {total} items", head.id, head.title, head.status);
    if head.counts.failed > 0 {
        text.push_str(&format!(", {} failed", head.counts.failed));
    }
    if let Some(why) = &head.paused {
        text.push_str(&format!("; paused: {why}"));
    }
    let review = board.in_status(Status::Review);
    if head.status == BatchStatus::Waiting && review > 0 {
        text.push_str(&format!("; to decide: tasktally review-batch {} --decision approve", head.id));
    }
    let event = json!({ "event": "batch", "batch": head.id, "title": head.title, "status": head.status,
        "processed": processed, "total": total, "failed": head.counts.failed });
    (text, event)
}

fn of_chunk(board: &Board, number: u64) -> Line {
    let Some(chunk) = board.chunk(number) else { return (String::new(), Value::Null) };
    let (processed, total) = (chunk.counts.processed(), chunk.counts.total);
    let mut text = format!("{} {}: {}, {processed} of {total}", chunk.id, chunk.title, chunk.status);
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

fn progress(board: &Board) -> Line {
    let head = &board.head;
    let (processed, total) = (head.counts.processed(), head.counts.total);
    let mut text = format!("{processed} of {total} items, {} %", percent(processed, total));
    if let Some(rate) = head.per_minute {
        text.push_str(&format!(", {rate:.0} a minute"));
    }
    if let Some(left) = head.seconds_left {
        text.push_str(&format!(", {} left", span(left)));
    }
    let event = json!({ "event": "progress", "processed": processed, "total": total,
        "per_minute": head.per_minute, "seconds_left": head.seconds_left });
    (text, event)
}

fn tell(json: bool, (text, event): &Line) -> Result<()> {
    let line = if json { event.to_string() } else { safe(text) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Error::internal("nothing can be printed", error))
}
