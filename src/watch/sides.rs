//! What stands beside the chunks, or below them: workers, categories, the last receipts.

use super::board::{Board, Worker};
use super::paint::Paint;
use super::words::{bar, clock, count, cut, fit, seconds_between, span};

/// From how many seconds on a worker's silence is told.
const QUIET: u64 = 60;
/// From how many seconds on it is bad news.
const STALLED: u64 = 600;

/// Who works on what.
pub(super) fn workers(paint: &mut Paint<'_>, board: &Board) {
    let hidden = board.workers.len().saturating_sub(paint.rows().saturating_sub(1));
    let more = if hidden > 0 { format!(", {hidden} not shown") } else { String::new() };
    paint.rule(&format!("{} at work{more}", count(board.workers.len() as u64, "worker")));
    for worker in &board.workers {
        worker_row(paint, board, worker);
    }
}

fn worker_row(paint: &mut Paint<'_>, board: &Board, worker: &Worker) {
    let theme = paint.theme;
    let now = board.head.now;
    let silence = seconds_between(worker.sign, now);
    let (sign, style) = match silence {
        _ if worker.lost => ("  lease ran out".to_owned(), theme.bad()),
        0..QUIET => (String::new(), theme.plain()),
        QUIET..STALLED => (format!("  no sign for {}", span(silence)), theme.asks()),
        _ => (format!("  no sign for {}", span(silence)), theme.bad()),
    };
    let digits = board.digits();
    let held = span(seconds_between(worker.since, now));
    let about = format!("{} {:0digits$} for {held:<10}", fit(&worker.name, 14), worker.chunk);
    let item = worker.item.as_ref().map_or(String::new(), |item| format!(" {item}"));
    let item = cut(&item, paint.columns().saturating_sub(about.len() + sign.len()));
    paint.row(&[(&about, theme.plain()), (&item, theme.busy()), (&sign, style)]);
}

/// What items were found to be, a row each.
pub(super) fn categories(paint: &mut Paint<'_>, board: &Board) {
    let all = &board.head.categories;
    paint.rule("categories");
    let room = paint.rows();
    let columns = paint.columns();
    let most = all.first().map_or(0, |(_, count)| *count);
    let shown = if all.len() > room { room.saturating_sub(1) } else { all.len() };
    for (name, number) in all.iter().take(shown) {
        let name = fit(name, (columns / 3).max(8));
        let (full, _) = bar(*number, most, columns.saturating_sub(name.chars().count() + 10));
        let theme = paint.theme;
        let number = format!(" {number:>7} ");
        paint.row(&[(&name, theme.plain()), (&number, theme.plain()), (&full, theme.busy())]);
    }
    if shown < all.len() {
        let theme = paint.theme;
        paint.row(&[(&format!("and {} more", all.len() - shown), theme.dim())]);
    }
}

/// The same in one row.
pub(super) fn categories_in_a_row(paint: &mut Paint<'_>, board: &Board) {
    let named: Vec<String> =
        board.head.categories.iter().map(|(name, number)| format!("{name} {number}")).collect();
    let text = cut(&named.join(" · "), paint.columns().saturating_sub(12));
    let theme = paint.theme;
    paint.row(&[("categories  ", theme.strong()), (&text, theme.plain())]);
}

/// The last receipts, the newest at the bottom.
pub(super) fn receipts(paint: &mut Paint<'_>, board: &Board) {
    paint.rule("last receipts");
    let (theme, digits, columns) = (paint.theme, board.digits(), paint.columns());
    let first = board.receipts.len().saturating_sub(paint.rows());
    for receipt in board.receipts.iter().skip(first) {
        let chunk = match receipt.chunk {
            0 => " ".repeat(digits),
            number => format!("{number:0digits$}"),
        };
        let about = format!("{} {chunk} ", clock(receipt.at));
        let outcome = receipt.outcome.map_or(String::new(), |outcome| format!("{outcome} "));
        let style = match receipt.outcome {
            Some("failed") => theme.bad(),
            Some("done") => theme.good(),
            _ => theme.dim(),
        };
        let text = cut(&receipt.text, columns.saturating_sub(about.len() + outcome.len()));
        paint.row(&[(&about, theme.dim()), (&outcome, style), (&text, theme.plain())]);
    }
}
