//! The table at the end of a run.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus, Chunk};
use crate::model::id::TaskId;
use crate::model::task::Task;
use crate::ops::Session;

/// How many chunks a table shows.
const SHOWN: usize = 60;
/// How many categories a row names.
const CATEGORIES: usize = 5;

struct Row {
    name: String,
    status: String,
    counts: [u64; 4],
    categories: Vec<(String, u64)>,
}

/// A batch's chunks and their sums.
pub(super) fn table(session: &Session, batch: &TaskId) -> Result<String> {
    let batch = batch.clone();
    let (rows, sum, hidden) = session.read(move |tx| {
        let task = tx.task(&batch)?;
        let Some(of) = tx.batch(task.row)? else { return Ok((Vec::new(), None, 0)) };
        let mut rows = Vec::new();
        for (chunk, task) in tx.chunks(task.row, 0, SHOWN)? {
            rows.push(chunk_row(&chunk, &task, tx.categories(task.row)?));
        }
        let hidden = of.chunks.saturating_sub(rows.len() as u64);
        let status = of.status(task.status, tx.is_workable(task.row)?);
        Ok((rows, Some(sum_row(&of, status, tx.categories(task.row)?)), hidden))
    })?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["chunk", "status", "items", "done", "failed", "skipped", "categories"]);
    for row in rows.iter().chain(&sum) {
        let mut cells = vec![Cell::new(&row.name), Cell::new(&row.status)];
        cells.extend(row.counts.iter().map(|count| Cell::new(count).set_alignment(CellAlignment::Right)));
        cells.push(Cell::new(named(&row.categories)));
        table.add_row(cells);
    }
    let mut text = table.trim_fmt();
    if hidden > 0 {
        text.push_str(&format!("\n… and {hidden} more chunks; tasktally get-batch shows them all"));
    }
    Ok(text)
}

fn chunk_row(chunk: &Chunk, task: &Task, categories: Vec<(String, u64)>) -> Row {
    let counts = chunk.counts;
    Row {
        name: crate::cli::safe(&task.title),
        status: task.status.to_string(),
        counts: [counts.total, counts.done, counts.failed, counts.skipped],
        categories,
    }
}

fn sum_row(batch: &Batch, status: BatchStatus, categories: Vec<(String, u64)>) -> Row {
    let counts = batch.counts;
    Row {
        name: format!("{} chunks", batch.chunks),
        status: status.to_string(),
        counts: [counts.total, counts.done, counts.failed, counts.skipped],
        categories,
    }
}

fn named(categories: &[(String, u64)]) -> String {
    let mut text: Vec<String> = categories
        .iter()
        .take(CATEGORIES)
        .map(|(name, count)| format!("{} {count}", crate::cli::safe(name)))
        .collect();
    if categories.len() > CATEGORIES {
        text.push(format!("+{}", categories.len() - CATEGORIES));
    }
    text.join(", ")
}
