//! Drawing the screen at any size.

use ratatui::Frame;

use super::app::{App, View};
use super::board::Board;
use super::bottom::Bottom;
use super::canvas::Canvas;
use super::format::fit;
use super::keys::HELP;
use super::scroll_pane::ScrollPane;
use super::theme::Theme;
use super::{batch_list, chunk_list, header, panels};

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
    let bottom = Bottom::new(app, canvas.columns());
    let mut view = canvas.split_top(usize::from(area.height) - bottom.rows());
    match app.views.last_mut() {
        Some(View::Batches) => batch_list::draw(&mut view, app),
        Some(View::Help) => draw_help(&mut view),
        Some(View::Receipts(receipts)) => draw_pane(&mut view, &mut receipts.pane, "no receipts yet"),
        Some(View::Log(log)) => draw_pane(
            &mut view,
            &mut log.pane,
            "no log: only background workers have logs, and old logs are removed; Enter shows the receipts",
        ),
        Some(View::Batch) | None => draw_batch(&mut view, app),
    }
    bottom.draw(&mut canvas, app);
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
