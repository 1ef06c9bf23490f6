//! Drawing the screen at any size.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::app::{App, Dialog, View};
use super::board::Board;
use super::canvas::Canvas;
use super::format::{bar, fit};
use super::keys::HELP;
use super::scroll_pane::ScrollPane;
use super::theme::Theme;
use super::{chunk_list, header, panels};
use crate::model::step::Decision;

/// The smallest screen, in columns and rows.
const MIN_SIZE: (u16, u16) = (40, 10);
/// From how many columns the panels are beside the chunks.
const WIDE: usize = 120;
/// From how many rows below the header there are panels below the chunks.
const TALL: usize = 12;

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, theme: Theme) {
    let area = frame.area();
    let mut canvas = Canvas { buffer: frame.buffer_mut(), area, theme };
    if area.width < MIN_SIZE.0 || area.height < MIN_SIZE.1 {
        let text = format!("needs {}×{}, this is {}×{}", MIN_SIZE.0, MIN_SIZE.1, area.width, area.height);
        canvas.row(&[(&text, theme.plain())]);
        return;
    }
    let mut view = canvas.split_top(usize::from(area.height) - 1);
    match app.views.last_mut() {
        Some(View::Batches) => draw_batches(&mut view, app),
        Some(View::Help) => draw_help(&mut view),
        Some(View::Receipts(receipts)) => draw_pane(&mut view, &mut receipts.pane, "no receipts yet"),
        Some(View::Log(log)) => draw_pane(
            &mut view,
            &mut log.pane,
            "no log: only background workers have logs, and old logs are removed; Enter shows the receipts",
        ),
        Some(View::Batch) | None => draw_batch(&mut view, app),
    }
    draw_bottom_row(&mut canvas, app);
}

fn draw_batch(canvas: &mut Canvas<'_>, app: &mut App) {
    let Some(board) = &app.board else {
        let theme = canvas.theme;
        return canvas.row(&[("reading…", theme.dim())]);
    };
    let height = header::height(board, canvas.columns());
    header::draw(&mut canvas.split_top(height), board);
    if canvas.columns() >= WIDE {
        draw_panels_beside(canvas, app);
    } else {
        draw_panels_below(canvas, app);
    }
}

fn draw_panels_beside(canvas: &mut Canvas<'_>, app: &mut App) {
    chunk_list::draw(&mut canvas.split_left(canvas.columns() * 11 / 20), app);
    let Some(board) = &app.board else { return };
    let rows = canvas.rows();
    panels::workers(&mut canvas.split_top((board.workers.len() + 1).min(rows / 3)), board);
    let categories = board.header.categories.len();
    if categories > 0 {
        panels::categories(&mut canvas.split_top((categories + 1).min(rows / 3)), board);
    }
    panels::receipts(canvas, board);
}

fn draw_panels_below(canvas: &mut Canvas<'_>, app: &mut App) {
    let rows = canvas.rows();
    let Some(board) = &app.board else { return };
    let (workers, receipts, categories) = panel_rows(board, rows);
    chunk_list::draw(&mut canvas.split_top(rows - workers - receipts - categories), app);
    let Some(board) = &app.board else { return };
    panels::workers(&mut canvas.split_top(workers), board);
    if categories > 0 {
        panels::categories_in_one_row(&mut canvas.split_top(categories), board);
    }
    panels::receipts(&mut canvas.split_top(receipts), board);
}

/// The rows for workers, receipts and categories below the chunks.
fn panel_rows(board: &Board, rows: usize) -> (usize, usize, usize) {
    if rows < TALL {
        return (0, 0, 0);
    }
    let workers = (board.workers.len() + 1).min(rows / 3);
    let receipts = (board.receipts.len() + 1).min(rows / 4);
    (workers, receipts, usize::from(!board.header.categories.is_empty()))
}

fn draw_batches(canvas: &mut Canvas<'_>, app: &App) {
    let theme = canvas.theme;
    canvas.rule("open batches");
    if app.batches.is_empty() {
        let text = "No batch is open. To see one that has ended, name it: tasktally watch BATCH";
        canvas.row(&[(text, theme.plain())]);
    }
    let is_wide = canvas.columns() >= WIDE;
    let page = canvas.rows().max(1);
    let first = (app.selected_batch + 1).saturating_sub(page);
    for (at, batch) in app.batches.iter().enumerate().skip(first).take(page) {
        let is_selected = at == app.selected_batch;
        let id = format!("{} {} ", if is_selected { "▸" } else { " " }, batch.id);
        let progress = format!(" {:>7}/{:<7} {:>3} % ", batch.processed, batch.total, batch.percent);
        let status = format!("{:<9} ", batch.status);
        let waiting = if is_wide { fit(&batch.waiting(), 40) } else { fit(&batch.waiting_count(), 15) };
        let used = id.chars().count() + 9 + progress.len() + status.len() + waiting.chars().count();
        let title = fit(&batch.title, (canvas.columns() + if is_wide { 0 } else { 8 }).saturating_sub(used));
        let (full, empty) = bar(batch.percent, 100, if is_wide { 8 } else { 0 });
        let style = if is_selected { theme.selected() } else { theme.plain() };
        canvas.row(&[
            (&id, style),
            (&title, style),
            (" ", theme.plain()),
            (&full, theme.good()),
            (&empty, theme.dim()),
            (&progress, theme.plain()),
            (&status, theme.batch(batch.status)),
            (&waiting, theme.attention()),
        ]);
    }
}

fn draw_pane(canvas: &mut Canvas<'_>, pane: &mut ScrollPane, if_empty: &str) {
    canvas.rule(&pane.title);
    let theme = canvas.theme;
    if pane.is_empty() {
        return canvas.row(&[(if_empty, theme.dim())]);
    }
    for row in pane.visible_rows(canvas.columns(), canvas.rows()) {
        canvas.row(&[(&row, theme.plain())]);
    }
}

fn draw_help(canvas: &mut Canvas<'_>) {
    let theme = canvas.theme;
    canvas.rule("keys");
    for (keys, meaning) in HELP {
        canvas.row(&[(&fit(keys, 22), theme.strong()), (meaning, theme.plain())]);
    }
}

/// Draws a question, the last message, or else the most important keys.
fn draw_bottom_row(canvas: &mut Canvas<'_>, app: &App) {
    let theme = canvas.theme;
    let area = Rect { height: 1, ..canvas.area };
    let mut canvas = Canvas { buffer: canvas.buffer, area, theme };
    match (&app.dialog, &app.message) {
        (Some(Dialog::ConfirmCancel), _) => {
            let question = "Cancel the batch? Live claims are lost, receipts are kept. y / n";
            canvas.row(&[(question, theme.attention())]);
        }
        (Some(Dialog::Note { chunk, decision, text }), _) => {
            let verb = if *decision == Decision::Reject { "Reject" } else { "Redo" };
            let question = format!("{verb} {chunk} because (Enter sends, Esc cancels): ");
            // The end of a long note, which is where the person types.
            let columns = canvas.columns().saturating_sub(question.chars().count() + 1);
            let skipped = text.chars().count().saturating_sub(columns);
            let text: String = text.chars().skip(skipped).collect();
            canvas.row(&[(&question, theme.attention()), (&text, theme.plain()), (" ", theme.selected())]);
        }
        (None, Some((text, is_error))) => {
            let text = text.replace('\n', " ");
            canvas.row(&[(&text, if *is_error { theme.bad() } else { theme.good() })]);
        }
        (None, None) => canvas.row(&[(key_hints(app), theme.dim())]),
    }
}

fn key_hints(app: &App) -> &'static str {
    match app.views.last() {
        Some(View::Batches) => "↑↓ choose  Enter watch  ? help  q quit",
        Some(View::Batch) => "Enter receipts  l log  a approve  r reject  d redo  p pause  ? help  q quit",
        Some(View::Receipts(_)) => "↑↓ scroll  l log  a approve  r reject  d redo  q back",
        Some(View::Log(_)) => "↑↓ scroll  Enter receipts  q back",
        _ => "q back",
    }
}
