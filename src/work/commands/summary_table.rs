//! The table of a batch's chunks at the end of a run.

use comfy_table::{Cell, CellAlignment};
use unicode_width::UnicodeWidthStr as _;

use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus, Chunk};
use crate::model::id::TaskId;
use crate::model::task::Task;
use crate::model::text::counted;
use crate::ops::Session;
use crate::terminal::{cut, escape_hidden, new_table, stdout_columns};

/// How many chunks the table shows.
const MAX_CHUNKS: usize = 60;
/// How many categories a row shows.
const MAX_CATEGORIES: usize = 5;

struct SummaryRow {
    name: String,
    status: String,
    counts: [u64; 4],
    categories: Vec<(String, u64)>,
    categories_cell: String,
}

/// The headings of the numbers.
const NUMBERS: [&str; 4] = ["items", "done", "failed", "skipped"];
/// The spaces around a cell.
const CELL_SPACES: usize = 2;
/// The spaces around the cells that are no numbers, and two columns to spare.
const OTHER_SPACES: usize = 8;
/// The least columns for the categories.
const MIN_CATEGORY_COLUMNS: usize = 12;

/// Shortens names and categories so that each row is one line of the terminal, and fills the cells of the categories.
/// Returns the numbers to show: in a narrow terminal not how many failed or were skipped, if there are none.
fn fit_rows<'a>(rows: impl Iterator<Item = &'a mut SummaryRow>, columns: Option<usize>) -> Vec<usize> {
    let rows: Vec<_> = rows.collect();
    let widest = |width: &dyn Fn(&SummaryRow) -> usize| rows.iter().map(|row| width(row)).max().unwrap_or(0);
    let status = widest(&|row| row.status.width()).max("status".len());
    let name = widest(&|row| row.name.width());
    let categories = widest(&|row| categories_cell(&row.categories, usize::MAX).width());
    let width_of = |number: usize| {
        widest(&|row| row.counts[number].to_string().len()).max(NUMBERS[number].len()) + CELL_SPACES
    };
    let left = |shown: &[usize]| {
        let numbers: usize = shown.iter().map(|number| width_of(*number)).sum();
        columns.map_or(usize::MAX, |columns| columns.saturating_sub(OTHER_SPACES + numbers + status))
    };
    let is_shown = |number: &usize| *number < 2 || rows.iter().any(|row| row.counts[*number] > 0);
    let all: Vec<usize> = (0..NUMBERS.len()).collect();
    let is_narrow = name + categories > left(&all);
    let shown: Vec<usize> = if is_narrow { all.into_iter().filter(is_shown).collect() } else { all };
    let left = left(&shown);
    let for_categories = categories.min(left / 5 * 3).max(MIN_CATEGORY_COLUMNS);
    let name = name.min(left.saturating_sub(for_categories).max(MIN_CATEGORY_COLUMNS));
    for row in rows {
        row.name = cut(&row.name, name);
        row.categories_cell = categories_cell(&row.categories, left.saturating_sub(name));
    }
    shown
}

/// The chunks of a batch with their counts, and a row with the totals.
pub(super) fn summary_table(session: &Session, batch: &TaskId) -> Result<String> {
    let batch = batch.clone();
    let (mut rows, mut total, hidden) = session.read(move |tx| {
        let task = tx.task(&batch)?;
        let Some(batch) = tx.batch(task.row)? else { return Ok((Vec::new(), None, 0)) };
        let mut rows = Vec::new();
        for (chunk, task) in tx.chunks(task.row, 0, MAX_CHUNKS)? {
            rows.push(chunk_row(&chunk, &task, tx.category_counts(task.row)?));
        }
        let hidden = batch.chunk_count.saturating_sub(rows.len() as u64);
        let status = batch.status(task.status, tx.has_workable_chunk(task.row)?);
        Ok((rows, Some(total_row(&batch, status, tx.category_counts(task.row)?)), hidden))
    })?;
    let numbers = fit_rows(rows.iter_mut().chain(&mut total), stdout_columns());
    let mut table = new_table();
    let headings = numbers.iter().map(|number| NUMBERS[*number]);
    table.set_header(["chunk", "status"].into_iter().chain(headings).chain(["categories"]));
    for row in rows.iter().chain(&total) {
        let mut cells = vec![Cell::new(&row.name), Cell::new(&row.status)];
        let counts = numbers.iter().map(|number| row.counts[*number]);
        cells.extend(counts.map(|count| Cell::new(count).set_alignment(CellAlignment::Right)));
        cells.push(Cell::new(&row.categories_cell));
        table.add_row(cells);
    }
    let mut text = table.trim_fmt();
    if hidden > 0 {
        text.push_str(&format!("\n… and {hidden} more chunks; tasktally get-batch shows all of them"));
    }
    Ok(text)
}

fn chunk_row(chunk: &Chunk, task: &Task, categories: Vec<(String, u64)>) -> SummaryRow {
    let counts = chunk.counts;
    SummaryRow {
        name: escape_hidden(&task.title),
        status: task.status.chunk_label().to_owned(),
        counts: [counts.total, counts.done, counts.failed, counts.skipped],
        categories,
        categories_cell: String::new(),
    }
}

fn total_row(batch: &Batch, status: BatchStatus, categories: Vec<(String, u64)>) -> SummaryRow {
    let counts = batch.counts;
    SummaryRow {
        name: counted(batch.chunk_count, "chunk"),
        status: status.to_string(),
        counts: [counts.total, counts.done, counts.failed, counts.skipped],
        categories,
        categories_cell: String::new(),
    }
}

/// The largest categories that fit, and how many more there are.
fn categories_cell(categories: &[(String, u64)], columns: usize) -> String {
    let named = |shown: usize| {
        let shown_names = categories.iter().take(shown);
        let mut cell: Vec<String> =
            shown_names.map(|(name, count)| format!("{} {count}", escape_hidden(name))).collect();
        if categories.len() > shown {
            cell.push(format!("+{}", categories.len() - shown));
        }
        cell.join(", ")
    };
    let fitting = (1..=MAX_CATEGORIES.min(categories.len())).rev().map(&named);
    let mut fitting = fitting.skip_while(|cell| cell.width() > columns);
    fitting.next().unwrap_or_else(|| cut(&named(0), columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_fits_into_the_terminal() {
        fn check(columns: Option<usize>, failed: u64, name: &str, categories: &str, numbers: &[usize]) {
            let mut row = SummaryRow {
                name: "Jul 2026 of the whole mail (1/3)".into(),
                status: "in progress".into(),
                counts: [36, 36 - failed, failed, 0],
                categories: vec![("read".into(), 22), ("archive".into(), 9), ("look".into(), 5)],
                categories_cell: String::new(),
            };
            let shown = fit_rows(std::iter::once(&mut row), columns);
            assert_eq!((row.name.as_str(), row.categories_cell.as_str()), (name, categories), "{columns:?}");
            assert_eq!(shown, numbers, "{columns:?}");
        }
        let name = "Jul 2026 of the whole mail (1/3)";
        check(None, 0, name, "read 22, archive 9, look 5", &[0, 1, 2, 3]);
        check(Some(120), 0, name, "read 22, archive 9, look 5", &[0, 1, 2, 3]);
        check(Some(80), 0, "Jul 2026 of the whole…", "read 22, archive 9, look 5", &[0, 1]);
        check(Some(80), 3, "Jul 2026 of the…", "read 22, archive 9, +1", &[0, 1, 2]);
        check(Some(40), 0, "Jul 2026 of…", "", &[0, 1]);
    }
}
