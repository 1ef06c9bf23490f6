//! Drawing the top of the screen: the batch as a whole.

use super::board::Board;
use super::canvas::Canvas;
use super::format::{bar, count, duration, fit, percent, wrap_words};
use crate::model::batch::BatchStatus;
use crate::model::status::Status;

/// The most rows for what needs a person: a command must not be cut.
const ATTENTION_ROWS: usize = 3;

/// Draws the header.
pub(super) fn draw(canvas: &mut Canvas<'_>, board: &Board) {
    let (header, theme) = (&board.header, canvas.theme);
    let id = format!(" {}", header.id);
    let status = format!("  {}  ", header.status);
    let title = fit(&header.title, canvas.columns().saturating_sub(id.len() + status.len()));
    canvas.row(&[(&title, theme.strong()), (&status, theme.batch(header.status)), (&id, theme.dim())]);

    let (done, work) = board.work();
    let step = match header.steps {
        0 | 1 => String::new(),
        steps => format!(", step {} of {steps}", header.step_number),
    };
    let (processed, total) = (header.counts.processed(), header.counts.total);
    let progress = format!("  {processed} of {total}{step}  {} %", percent(done, work));
    let columns = canvas.columns().saturating_sub(progress.len());
    let (full, empty) = bar(done, work, columns);
    let (good, bad) = split_failed(&full, header.counts.failed, work, columns);
    canvas.row(&[
        (&good, theme.good()),
        (&bad, theme.bad()),
        (&empty, theme.dim()),
        (&progress, theme.plain()),
    ]);

    canvas.row(&[(&facts(board), theme.plain())]);
    if let Some(runner) = &header.runner {
        canvas.row(&[(runner, theme.dim())]);
    }
    for row in attention(board, canvas.columns()) {
        canvas.row(&[(&row, theme.attention())]);
    }
}

/// The filled part of the bar, split into the part of the other items and that of the failed ones: at least one
/// column if any item failed.
fn split_failed(full: &str, failed: u64, total: u64, columns: usize) -> (String, String) {
    let cells: Vec<char> = full.chars().collect();
    let share = bar(failed, total.max(1), columns).0.chars().count().min(cells.len());
    let (good, bad) = cells.split_at(cells.len() - share);
    (good.iter().collect(), bad.iter().collect())
}

/// How many rows the header has at this width.
pub(super) fn height(board: &Board, columns: usize) -> usize {
    3 + usize::from(board.header.runner.is_some()) + attention(board, columns).len()
}

/// The rows about dead processes and about what waits for a person.
fn attention(board: &Board, columns: usize) -> Vec<String> {
    let texts = board.header.stopped.iter().cloned().chain(waits_for_person(board));
    texts.flat_map(|text| wrap_words(&text, columns, ATTENTION_ROWS)).collect()
}

fn facts(board: &Board) -> String {
    let header = &board.header;
    let counts = header.counts;
    let mut facts = Vec::new();
    if header.steps > 1 {
        facts.push(format!("step {}", header.step));
    }
    facts.push(format!("{} done", counts.done));
    for (number, what) in
        [(counts.failed, "failed"), (counts.skipped, "skipped"), (header.in_doubt, "in doubt")]
    {
        if number > 0 {
            facts.push(format!("{number} {what}"));
        }
    }
    facts.extend(header.per_minute.map(|rate| format!("{rate:.0} per minute")));
    let seconds_left = header.seconds_left.filter(|_| counts.processed() < counts.total);
    facts.extend(seconds_left.map(|seconds| format!("{} left", duration(seconds))));
    facts.join(" · ")
}

/// What waits for a person, with the keys for it.
fn waits_for_person(board: &Board) -> Option<String> {
    let header = &board.header;
    let mut reasons = Vec::new();
    if header.status == BatchStatus::Paused {
        reasons.push(format!("paused: {} (p resumes it)", header.paused.as_deref().unwrap_or_default()));
    }
    let review = board.count_in(Status::Review);
    if review > 0 {
        reasons.push(format!("{} in review (n a r d)", count(review, "chunk")));
    }
    let stuck = board.count_in(Status::Failed) + board.count_in(Status::Blocked);
    if header.has_unresolved_failures && stuck > 0 && header.status != BatchStatus::Cancelled {
        let keys = if header.status.is_over() { "n t x" } else { "n t" };
        reasons.push(format!("{} failed or blocked ({keys})", count(stuck, "chunk")));
    }
    if header.has_unresolved_failures
        && stuck == 0
        && matches!(header.status, BatchStatus::Done | BatchStatus::Failed)
    {
        reasons.push(format!("{} failed (T tries again, x accepts)", count(header.counts.failed, "item")));
    }
    (!reasons.is_empty()).then(|| format!("waits for you: {}", reasons.join("; ")))
}
