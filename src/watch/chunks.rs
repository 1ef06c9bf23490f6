//! The list of chunks: only what is in view is looked at and drawn.

use super::app::App;
use super::board::{Board, ChunkRow};
use super::paint::Paint;
use super::words::{bar, fit};
use crate::model::status::Status;

/// Columns of a chunk's bar.
const BAR: usize = 12;

/// Draws the list, the selected chunk in view.
pub(super) fn draw(paint: &mut Paint<'_>, app: &mut App) {
    let listed = app.listed();
    let Some(board) = &app.board else { return };
    paint.rule(&title(board, app.only_open, listed.len()));
    app.page = paint.rows().max(1);
    let at = listed.partition_point(|at| board.chunks[*at].number < app.selected);
    app.top = app.top.min(at).max((at + 1).saturating_sub(app.page));
    app.top = app.top.min(listed.len().saturating_sub(app.page));
    for at in listed.iter().skip(app.top).take(app.page) {
        let chunk = &board.chunks[*at];
        row(paint, board, chunk, chunk.number == app.selected);
    }
}

fn title(board: &Board, only_open: bool, listed: usize) -> String {
    let told = [
        (Status::Done, "done"),
        (Status::InProgress, "at work"),
        (Status::Review, "in review"),
        (Status::Failed, "failed"),
        (Status::Blocked, "blocked"),
    ];
    let mut parts = Vec::new();
    for (status, what) in told {
        let count = board.in_status(status);
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let only = if only_open { format!("{listed} of ") } else { String::new() };
    format!("chunks {only}{}{parts}", board.chunks.len())
}

fn row(paint: &mut Paint<'_>, board: &Board, chunk: &ChunkRow, selected: bool) {
    let theme = paint.theme;
    let digits = board.digits();
    let (processed, total) = (chunk.counts.processed(), chunk.counts.total);
    let counts = format!(" {processed:>4}/{total:<4} ");
    let status = format!("{:<11} ", chunk.status);
    // Who is at it, or what went wrong.
    let note = match board.worker_of(chunk.number) {
        Some(worker) => worker.name.clone(),
        None if chunk.counts.failed > 0 => format!("{} failed", chunk.counts.failed),
        None => String::new(),
    };
    let note = fit(&note, if paint.columns() >= 60 { 14 } else { 0 });
    let number = format!("{} {:0digits$} ", if selected { "▸" } else { " " }, chunk.number);
    let taken = number.chars().count() + BAR + counts.len() + status.len() + note.chars().count();
    let title = fit(&chunk.title, paint.columns().saturating_sub(taken + 1));
    let (full, rest) = bar(processed, total, BAR);
    let style = if selected { theme.selected() } else { theme.plain() };
    let of_status = if chunk.counts.failed > 0 { theme.bad() } else { theme.chunk(chunk.status) };
    paint.row(&[
        (&number, style),
        (&title, style),
        (" ", theme.plain()),
        (&full, of_status),
        (&rest, theme.dim()),
        (&counts, theme.plain()),
        (&status, of_status),
        (&note, theme.plain()),
    ]);
}
