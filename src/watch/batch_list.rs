//! Drawing the list of batches.

use super::app::App;
use super::batch_rows::BatchRow;
use super::canvas::Canvas;
use super::format::{bar, fit};

/// From how many columns each batch has a bar and says what waits.
const WIDE: usize = 120;
/// The columns of the bar.
const BAR: usize = 8;
/// The most columns of what waits for a person, in a wide screen.
const WAITING: usize = 40;

/// Draws the list.
pub(super) fn draw(canvas: &mut Canvas<'_>, app: &App) {
    let theme = canvas.theme;
    canvas.rule(heading(&app.batches));
    if app.batches.is_empty() {
        let text = "No batch is open. To see one that has ended, name it: tasktally watch BATCH";
        canvas.row(&[(text, theme.plain())]);
    }
    let is_wide = canvas.columns() >= WIDE;
    let page = canvas.rows().max(1);
    let first = (app.selected_batch + 1).saturating_sub(page);
    let shown = app.batches.iter().enumerate().skip(first).take(page);
    let waits = |batch: &BatchRow| if is_wide { batch.waiting() } else { batch.waiting_count() };
    // Columns are as wide as their widest value, and the title takes the rest.
    let widest = |text: &dyn Fn(&BatchRow) -> String| {
        shown.clone().map(|(_, batch)| text(batch).chars().count()).max().unwrap_or(0)
    };
    let counts = |batch: &BatchRow| format!("{}/{}", batch.processed, batch.total);
    let (counts_width, status_width) = (widest(&counts), widest(&|batch| batch.status.to_string()));
    let waits_width = widest(&waits).min(WAITING);
    let bar_width = if is_wide { BAR } else { 0 };
    for (at, batch) in shown.clone() {
        let is_selected = at == app.selected_batch;
        let id = format!("{} {} ", if is_selected { "▸" } else { " " }, batch.id);
        let progress = format!(" {:>counts_width$} {:>3} % ", counts(batch), batch.percent);
        let status = format!("{:<status_width$} ", batch.status.to_string());
        let waiting = fit(&waits(batch), waits_width);
        let used = id.chars().count() + 1 + bar_width + progress.len() + status.len() + waits_width;
        let title = fit(&batch.title, canvas.columns().saturating_sub(used));
        let (full, empty) = bar(batch.percent, 100, bar_width);
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

/// Says which batches are listed.
fn heading(batches: &[BatchRow]) -> &'static str {
    let ended = batches.iter().filter(|batch| batch.status.is_over()).count();
    match ended {
        0 => "open batches",
        all if all == batches.len() => "batches that ended with failures, not yet retried or accepted",
        _ => "open batches, and those that ended with failures, not yet retried or accepted",
    }
}
