//! The head of the screen: the batch as a whole.

use super::board::Board;
use super::paint::Paint;
use super::words::{bar, count, cut, fit, percent, span};
use crate::model::batch::BatchStatus;
use crate::model::status::Status;

/// Fills the head; as many rows as it has something to say.
pub(super) fn draw(paint: &mut Paint<'_>, board: &Board) {
    let (head, theme) = (&board.head, paint.theme);
    let id = format!(" {}", head.id);
    let status = format!("  {}  ", head.status);
    let room = paint.columns().saturating_sub(id.len() + status.len());
    let title = fit(&head.title, room);
    paint.row(&[(&title, theme.strong()), (&status, theme.batch(head.status)), (&id, theme.dim())]);

    let (counts, processed) = (head.counts, head.counts.processed());
    let told = format!("  {processed} of {}  {} %", counts.total, percent(processed, counts.total));
    let (full, rest) = bar(processed, counts.total, paint.columns().saturating_sub(told.len()));
    paint.row(&[(&full, theme.good()), (&rest, theme.dim()), (&told, theme.plain())]);

    let mut facts = Vec::new();
    if head.steps > 1 {
        facts.push(format!("step {} ({} of {})", head.step, head.step_number, head.steps));
    }
    facts.push(format!("{} done", counts.done));
    for (number, what) in
        [(counts.failed, "failed"), (counts.skipped, "skipped"), (head.in_doubt, "in doubt")]
    {
        if number > 0 {
            facts.push(format!("{number} {what}"));
        }
    }
    facts.extend(head.per_minute.map(|rate| format!("{rate:.0} a minute")));
    facts.extend(
        head.seconds_left.filter(|_| processed < counts.total).map(|left| format!("{} left", span(left))),
    );
    paint.row(&[(&facts.join(" · "), theme.plain())]);

    if let Some(runner) = &head.runner {
        paint.row(&[(runner, theme.dim())]);
    }
    if let Some(why) = needs(board) {
        paint.row(&[(&cut(&why, paint.columns()), theme.asks())]);
    }
}

/// How many rows the head takes.
pub(super) fn height(board: &Board) -> usize {
    3 + usize::from(board.head.runner.is_some()) + usize::from(needs(board).is_some())
}

/// What waits for a person, in words.
fn needs(board: &Board) -> Option<String> {
    let head = &board.head;
    let mut needs = Vec::new();
    if head.status == BatchStatus::Paused {
        needs.push(format!("paused: {} (p goes on)", head.paused.as_deref().unwrap_or_default()));
    }
    let review = board.in_status(Status::Review);
    if review > 0 {
        needs.push(format!("{} in review (n a r d)", count(review, "chunk")));
    }
    let stuck = board.in_status(Status::Failed) + board.in_status(Status::Blocked);
    if stuck > 0 && head.status != BatchStatus::Cancelled {
        needs.push(format!("{} failed or blocked (n t)", count(stuck, "chunk")));
    }
    (!needs.is_empty()).then(|| format!("waits for you: {}", needs.join("; ")))
}
