//! Drawing what is beside the chunks, or below them: workers, categories and the latest receipts.

use unicode_width::UnicodeWidthStr as _;

use super::board::{Board, WorkerRow};
use super::canvas::Canvas;
use super::format::{bar, count, cut, duration, fit, seconds_between, time_of_day};

/// After how many seconds without a change a worker's silence is shown.
const SILENT_AFTER: u64 = 60;
/// After how many seconds it is shown as bad.
const STALLED_AFTER: u64 = 600;

/// Draws the workers and what each works on.
pub(super) fn workers(canvas: &mut Canvas<'_>, board: &Board) {
    let hidden = board.workers.len().saturating_sub(canvas.rows().saturating_sub(1));
    let more = if hidden > 0 { format!(", {hidden} not shown") } else { String::new() };
    canvas.rule(&format!("{}{more}", count(board.workers.len() as u64, "worker")));
    for worker in &board.workers {
        worker_row(canvas, board, worker);
    }
}

fn worker_row(canvas: &mut Canvas<'_>, board: &Board, worker: &WorkerRow) {
    let theme = canvas.theme;
    let now = board.header.now;
    let silence = seconds_between(worker.last_change, now);
    let (state, style) = match silence {
        _ if worker.has_died => ("  its process died".to_owned(), theme.bad()),
        _ if worker.is_expired => ("  lease expired".to_owned(), theme.bad()),
        0..SILENT_AFTER => (String::new(), theme.plain()),
        SILENT_AFTER..STALLED_AFTER => (format!("  no change for {}", duration(silence)), theme.attention()),
        _ => (format!("  no change for {}", duration(silence)), theme.bad()),
    };
    let digits = board.digits();
    let held = duration(seconds_between(worker.claimed_at, now));
    let claim = format!("{} {:0digits$} for {held:<10}", fit(&worker.name, 14), worker.chunk);
    let item = worker.item.as_ref().map_or(String::new(), |item| format!(" {item}"));
    let item = cut(&item, canvas.columns().saturating_sub(claim.len() + state.len()));
    canvas.row(&[(&claim, theme.plain()), (&item, theme.active()), (&state, style)]);
}

/// Draws the categories with a bar for each.
pub(super) fn categories(canvas: &mut Canvas<'_>, board: &Board) {
    let theme = canvas.theme;
    let all = &board.header.categories;
    canvas.rule("categories");
    let (rows, columns) = (canvas.rows(), canvas.columns());
    let largest = all.first().map_or(0, |(_, count)| *count);
    let shown = if all.len() > rows { rows.saturating_sub(1) } else { all.len() };
    for (name, number) in all.iter().take(shown) {
        let name = fit(name, (columns / 3).max(8));
        let (full, _) = bar(*number, largest, columns.saturating_sub(name.chars().count() + 10));
        let number = format!(" {number:>7} ");
        canvas.row(&[(&name, theme.plain()), (&number, theme.plain()), (&full, theme.active())]);
    }
    if shown < all.len() {
        canvas.row(&[(&format!("and {} more", all.len() - shown), theme.dim())]);
    }
}

/// Draws the categories in one row.
pub(super) fn categories_in_one_row(canvas: &mut Canvas<'_>, board: &Board) {
    let all = board.header.categories.iter();
    let named: Vec<String> = all.map(|(name, number)| format!("{name} {number}")).collect();
    let text = cut(&named.join(" · "), canvas.columns().saturating_sub(12));
    let theme = canvas.theme;
    canvas.row(&[("categories  ", theme.strong()), (&text, theme.plain())]);
}

/// Draws the latest receipts, the newest at the bottom.
pub(super) fn receipts(canvas: &mut Canvas<'_>, board: &Board) {
    canvas.rule("latest receipts");
    let (theme, digits, columns) = (canvas.theme, board.digits(), canvas.columns());
    let first = board.receipts.len().saturating_sub(canvas.rows());
    for receipt in board.receipts.iter().skip(first) {
        let chunk = match receipt.chunk {
            0 => " ".repeat(digits),
            number => format!("{number:0digits$}"),
        };
        let start = format!("{} {chunk} {}: ", time_of_day(receipt.at), receipt.author);
        let outcome = receipt.outcome.map_or(String::new(), |outcome| format!("{outcome} "));
        let style = match receipt.outcome {
            Some("failed") => theme.bad(),
            Some("done") => theme.good(),
            _ => theme.dim(),
        };
        let text = cut(&receipt.text, columns.saturating_sub(start.width() + outcome.len()));
        canvas.row(&[(&start, theme.dim()), (&outcome, style), (&text, theme.plain())]);
    }
}
