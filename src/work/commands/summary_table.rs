//! The table of a batch's chunks at the end of a run.

use comfy_table::{Cell, CellAlignment};

use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus, Chunk};
use crate::model::id::TaskId;
use crate::model::task::Task;
use crate::ops::Session;
use crate::terminal::{escape_hidden, new_table};

/// How many chunks the table shows.
const MAX_CHUNKS: usize = 60;
/// How many categories a row shows.
const MAX_CATEGORIES: usize = 5;

struct SummaryRow {
    name: String,
    status: String,
    counts: [u64; 4],
    categories: Vec<(String, u64)>,
}

/// The chunks of a batch with their counts, and a row with the totals.
pub(super) fn summary_table(session: &Session, batch: &TaskId) -> Result<String> {
    let batch = batch.clone();
    let (rows, total, hidden) = session.read(move |tx| {
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
    let mut table = new_table();
    table.set_header(["chunk", "status", "items", "done", "failed", "skipped", "categories"]);
    for row in rows.iter().chain(&total) {
        let mut cells = vec![Cell::new(&row.name), Cell::new(&row.status)];
        cells.extend(row.counts.iter().map(|count| Cell::new(count).set_alignment(CellAlignment::Right)));
        cells.push(Cell::new(categories_cell(&row.categories)));
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
        status: task.status.to_string(),
        counts: [counts.total, counts.done, counts.failed, counts.skipped],
        categories,
    }
}

fn total_row(batch: &Batch, status: BatchStatus, categories: Vec<(String, u64)>) -> SummaryRow {
    let counts = batch.counts;
    SummaryRow {
        name: format!("{} chunks", batch.chunk_count),
        status: status.to_string(),
        counts: [counts.total, counts.done, counts.failed, counts.skipped],
        categories,
    }
}

fn categories_cell(categories: &[(String, u64)]) -> String {
    let mut cell: Vec<String> = categories
        .iter()
        .take(MAX_CATEGORIES)
        .map(|(name, count)| format!("{} {count}", escape_hidden(name)))
        .collect();
    if categories.len() > MAX_CATEGORIES {
        cell.push(format!("+{}", categories.len() - MAX_CATEGORIES));
    }
    cell.join(", ")
}
