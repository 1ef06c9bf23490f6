//! Drawing the list of chunks. Only the chunks in view are read and drawn.

use super::app::App;
use super::board::{Board, ChunkRow};
use super::canvas::Canvas;
use super::format::{bar, fit};
use crate::model::status::Status;

/// Columns of a chunk's progress bar.
const BAR: usize = 12;
/// Columns of the note at the end of a row, on a canvas with at least [`NOTE_FROM`] columns.
const NOTE: usize = 14;
const NOTE_FROM: usize = 60;

/// Draws the list, scrolled so that the selected chunk is in view.
pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    app.follow_work();
    let listed = app.listed_chunks();
    let Some(board) = &app.board else { return };
    canvas.rule(&title(board, app, listed.len()));
    app.page = canvas.rows().max(1);
    let selected = listed.partition_point(|at| board.chunks[*at].number < app.selected_chunk);
    app.first_visible = app.first_visible.min(selected).max((selected + 1).saturating_sub(app.page));
    if app.is_following && board.first_in_progress() == Some(app.selected_chunk) {
        // One row above shows what was done before.
        app.first_visible = selected.saturating_sub(1);
    }
    app.first_visible = app.first_visible.min(listed.len().saturating_sub(app.page));
    for at in listed.iter().skip(app.first_visible).take(app.page) {
        let chunk = &board.chunks[*at];
        draw_row(canvas, board, chunk, chunk.number == app.selected_chunk);
    }
}

fn title(board: &Board, app: &App, listed: usize) -> String {
    let statuses = [
        (Status::Done, "done"),
        (Status::InProgress, "in progress"),
        (Status::Active, "queued"),
        (Status::Review, "in review"),
        (Status::Failed, "failed"),
        (Status::Blocked, "blocked"),
    ];
    let counts = statuses.into_iter().map(|(status, name)| (board.count_in(status), name));
    let parts: Vec<String> =
        counts.filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let only = if app.only_open { format!("{listed} of ") } else { String::new() };
    let can_follow = !app.is_following && board.first_in_progress().is_some();
    let follow = if can_follow { " (w follows the work)" } else { "" };
    format!("chunks {only}{}{parts}{follow}", board.chunks.len())
}

fn draw_row(canvas: &mut Canvas<'_>, board: &Board, chunk: &ChunkRow, is_selected: bool) {
    let theme = canvas.theme;
    let digits = board.digits();
    let (processed, total) = (chunk.counts.processed(), chunk.counts.total);
    let counts = format!(" {processed:>4}/{total:<4} ");
    let status = format!("{:<11} ", chunk.status.chunk_label());
    let note = match board.worker_of(chunk.number) {
        Some(worker) if worker.has_died => "worker died".to_owned(),
        Some(worker) => worker.name.clone(),
        None if chunk.counts.failed > 0 => format!("{} failed", chunk.counts.failed),
        None => String::new(),
    };
    let note = fit(&note, if canvas.columns() >= NOTE_FROM { NOTE } else { 0 });
    let number = format!("{} {:0digits$} ", if is_selected { "▸" } else { " " }, chunk.number);
    let used = number.chars().count() + BAR + counts.len() + status.len() + note.chars().count();
    let title = fit(&chunk.title, canvas.columns().saturating_sub(used + 1));
    let (full, empty) = bar(processed, total, BAR);
    let style = if is_selected { theme.selected() } else { theme.plain() };
    let status_style = if chunk.counts.failed > 0 { theme.bad() } else { theme.chunk(chunk.status) };
    canvas.row(&[
        (&number, style),
        (&title, style),
        (" ", theme.plain()),
        (&full, status_style),
        (&empty, theme.dim()),
        (&counts, theme.plain()),
        (&status, status_style),
        (&note, theme.plain()),
    ]);
}
