//! Drawing: what stands where, at any size.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::app::{App, Ask, View};
use super::board::Board;
use super::keys::HELP;
use super::paint::Paint;
use super::pane::Pane;
use super::style::Theme;
use super::words::{bar, fit, percent};
use super::{chunks, sides, top};
use crate::model::step::Decision;

/// The smallest screen that says anything.
const LEAST: (u16, u16) = (40, 10);
/// From how many columns on workers, categories and receipts stand beside the chunks.
const WIDE: usize = 120;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, theme: Theme) {
    let area = frame.area();
    let mut paint = Paint { buffer: frame.buffer_mut(), area, theme };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("needs {}×{}, this is {}×{}", LEAST.0, LEAST.1, area.width, area.height);
        paint.row(&[(&text, theme.plain())]);
        return;
    }
    let mut view = paint.upper(usize::from(area.height) - 1);
    match app.views.last_mut() {
        Some(View::Batches) => batches(&mut view, app),
        Some(View::Help) => help(&mut view),
        Some(View::Receipts(receipts)) => pane(&mut view, &mut receipts.pane, "no receipts yet"),
        Some(View::Log(log)) => pane(
            &mut view,
            &mut log.pane,
            "no log: only background workers have one, and old ones are removed; Enter shows the receipts",
        ),
        Some(View::Batch) | None => batch(&mut view, app),
    }
    foot(&mut paint, app);
}

fn batch(paint: &mut Paint<'_>, app: &mut App) {
    let Some(board) = &app.board else {
        let theme = paint.theme;
        return paint.row(&[("reading…", theme.dim())]);
    };
    top::draw(&mut paint.upper(top::height(board)), board);
    if paint.columns() >= WIDE {
        beside(paint, app);
    } else {
        below(paint, app);
    }
}

/// Chunks on the left, everything else on the right.
fn beside(paint: &mut Paint<'_>, app: &mut App) {
    chunks::draw(&mut paint.left(paint.columns() * 11 / 20), app);
    let Some(board) = &app.board else { return };
    let rows = paint.rows();
    sides::workers(&mut paint.upper((board.workers.len() + 1).min(rows / 3)), board);
    let categories = board.head.categories.len();
    if categories > 0 {
        sides::categories(&mut paint.upper((categories + 1).min(rows / 3)), board);
    }
    sides::receipts(paint, board);
}

/// Chunks first, everything else below.
fn below(paint: &mut Paint<'_>, app: &mut App) {
    let rows = paint.rows();
    let Some(board) = &app.board else { return };
    let (workers, receipts, categories) = shares(board, rows);
    chunks::draw(&mut paint.upper(rows - workers - receipts - categories), app);
    let Some(board) = &app.board else { return };
    sides::workers(&mut paint.upper(workers), board);
    if categories > 0 {
        sides::categories_in_a_row(&mut paint.upper(categories), board);
    }
    sides::receipts(&mut paint.upper(receipts), board);
}

/// The rows of workers, receipts and categories where all stand below the chunks.
fn shares(board: &Board, rows: usize) -> (usize, usize, usize) {
    if rows < 12 {
        return (0, 0, 0);
    }
    let workers = (board.workers.len() + 1).min(rows / 3);
    let receipts = (board.receipts.len() + 1).min(rows / 4);
    (workers, receipts, usize::from(!board.head.categories.is_empty()))
}

fn batches(paint: &mut Paint<'_>, app: &App) {
    let theme = paint.theme;
    paint.rule("open batches");
    if app.open.is_empty() {
        paint.row(&[("No batch is open. tasktally watch BATCH shows one that has ended.", theme.plain())]);
    }
    let wide = paint.columns() >= WIDE;
    let page = paint.rows().max(1);
    let first = (app.picked + 1).saturating_sub(page);
    for (place, batch) in app.open.iter().enumerate().skip(first).take(page) {
        let picked = place == app.picked;
        let mark = format!("{} {} ", if picked { "▸" } else { " " }, batch.id);
        let told = format!(
            " {:>7}/{:<7} {:>3} % ",
            batch.processed,
            batch.total,
            percent(batch.processed, batch.total)
        );
        let status = format!("{:<9} ", batch.status);
        let waits = if wide { fit(&batch.waits(), 40) } else { fit(&batch.waits_in_short(), 15) };
        let taken = mark.chars().count() + 9 + told.len() + status.len() + waits.chars().count();
        let title = fit(&batch.title, (paint.columns() + if wide { 0 } else { 8 }).saturating_sub(taken));
        let (full, rest) = bar(batch.processed, batch.total, if wide { 8 } else { 0 });
        let style = if picked { theme.selected() } else { theme.plain() };
        paint.row(&[
            (&mark, style),
            (&title, style),
            (" ", theme.plain()),
            (&full, theme.good()),
            (&rest, theme.dim()),
            (&told, theme.plain()),
            (&status, theme.batch(batch.status)),
            (&waits, theme.asks()),
        ]);
    }
}

fn pane(paint: &mut Paint<'_>, pane: &mut Pane, empty: &str) {
    paint.rule(&pane.title);
    let theme = paint.theme;
    if pane.is_empty() {
        return paint.row(&[(empty, theme.dim())]);
    }
    for row in pane.rows(paint.columns(), paint.rows()) {
        paint.row(&[(&row, theme.plain())]);
    }
}

fn help(paint: &mut Paint<'_>) {
    let theme = paint.theme;
    paint.rule("keys");
    for (keys, meaning) in HELP {
        paint.row(&[(&fit(keys, 22), theme.strong()), (meaning, theme.plain())]);
    }
}

/// The last row: a question, what was said last, or the keys.
fn foot(paint: &mut Paint<'_>, app: &App) {
    let theme = paint.theme;
    let area = Rect { height: 1, ..paint.area };
    let mut paint = Paint { buffer: paint.buffer, area, theme };
    match (&app.ask, &app.message) {
        (Some(Ask::Cancel), _) => {
            paint.row(&[("Cancel the batch? Running claims are lost, receipts stay. y / n", theme.asks())]);
        }
        (Some(Ask::Note { chunk, decision, text }), _) => {
            let verb = if *decision == Decision::Reject { "Reject" } else { "Redo" };
            let question = format!("{verb} {chunk}, because (Enter sends, Esc leaves): ");
            // The end of a long note is what is being written.
            let room = paint.columns().saturating_sub(question.chars().count() + 1);
            let skipped = text.chars().count().saturating_sub(room);
            let text: String = text.chars().skip(skipped).collect();
            paint.row(&[(&question, theme.asks()), (&text, theme.plain()), (" ", theme.selected())]);
        }
        (None, Some((text, bad))) => {
            let text = text.replace('\n', " ");
            paint.row(&[(&text, if *bad { theme.bad() } else { theme.good() })]);
        }
        (None, None) => {
            let hints = match app.views.last() {
                Some(View::Batches) => "↑↓ choose  Enter watch  ? help  q quit",
                Some(View::Batch) => {
                    "Enter receipts  l log  a approve  r reject  d redo  p pause  ? help  q quit"
                }
                Some(View::Receipts(_)) => "↑↓ scroll  l log  a approve  r reject  d redo  q back",
                Some(View::Log(_)) => "↑↓ scroll  Enter receipts  q back",
                _ => "q back",
            };
            paint.row(&[(hints, theme.dim())]);
        }
    }
}
