//! The receipts of a chunk.

use super::format::time_of_day;
use super::scroll_pane::ScrollPane;
use crate::error::Result;
use crate::model::author::name_with_kind;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::receipt::Receipt;
use crate::ops::Session;
use crate::terminal::escape_hidden;

/// How many of the newest receipts are read at first.
const NEWEST: u64 = 1_000;

/// What a wrapped line continues behind: deeper than the text, and than the first line of any receipt.
const CONTINUATION: &str = "        ";

/// The receipts of one chunk.
pub(super) struct ReceiptsView {
    chunk: TaskId,
    /// The number of the last receipt that was read.
    after: Option<u64>,
    pub(super) pane: ScrollPane,
}

impl ReceiptsView {
    /// The receipts of a chunk; none is read yet.
    pub(super) fn new(chunk: TaskId, title: &str) -> Self {
        ReceiptsView {
            pane: ScrollPane::new(format!("receipts of {title}"), CONTINUATION),
            chunk,
            after: None,
        }
    }

    /// Reads the receipts that were added since the last read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) fn update(&mut self, session: &Session) -> Result<()> {
        loop {
            let (chunk, last_read) = (self.chunk.clone(), self.after);
            let (after, page) = session.read(move |tx| {
                let task = tx.task(&chunk)?;
                let after = last_read.unwrap_or_else(|| task.receipt_count.saturating_sub(NEWEST));
                Ok((after, tx.receipts(task.row, after, PAGE_ROWS)?))
            })?;
            if self.after.is_none() && after > 0 {
                let text = format!("… {after} earlier receipts: tasktally get-task {}", self.chunk);
                self.pane.extend([text]);
            }
            self.after = Some(page.last().map_or(after, |last| last.number));
            let is_last = page.len() < PAGE_ROWS;
            self.pane.extend(page.iter().flat_map(lines));
            if is_last {
                return Ok(());
            }
        }
    }
}

/// A receipt: its number, author, outcome and so on in the first line, then its text, indented.
fn lines(receipt: &Receipt) -> Vec<String> {
    let author = escape_hidden(&name_with_kind(&receipt.author, receipt.author_kind));
    let mut first = format!("{:>4}  {}  {}", receipt.number, time_of_day(receipt.at), author);
    let outcome = receipt.outcome.map(|outcome| outcome.as_str().to_owned());
    for part in [outcome, receipt.item.clone(), receipt.category.clone()].iter().flatten() {
        first.push_str("  ");
        first.push_str(&escape_hidden(part));
    }
    let text = receipt.display_text();
    let text = text.lines().map(|line| format!("      {}", escape_hidden(line).replace('\t', "    ")));
    std::iter::once(first).chain(text).collect()
}
