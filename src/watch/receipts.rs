//! A chunk's receipts, to be read.

use super::pane::Pane;
use super::words::clock;
use crate::cli::safe;
use crate::error::Result;
use crate::model::id::TaskId;
use crate::model::limits::PAGE;
use crate::model::receipt::Receipt;
use crate::ops::Session;

/// How many of the newest receipts are read at first.
const NEWEST: u64 = 1_000;

/// The receipts of one chunk.
pub(super) struct Receipts {
    chunk: TaskId,
    after: Option<u64>,
    pub(super) pane: Pane,
}

impl Receipts {
    /// Those of a chunk, nothing read yet.
    pub(super) fn new(chunk: TaskId, title: &str) -> Self {
        Receipts { pane: Pane::new(format!("receipts of {title}")), chunk, after: None }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn look(&mut self, session: &Session) -> Result<()> {
        loop {
            let (chunk, known) = (self.chunk.clone(), self.after);
            let (after, page) = session.read(move |tx| {
                let task = tx.task(&chunk)?;
                let after = known.unwrap_or_else(|| task.receipts.saturating_sub(NEWEST));
                Ok((after, tx.receipts(task.row, after, PAGE)?))
            })?;
            if self.after.is_none() && after > 0 {
                let text = format!("… {after} earlier ones: tasktally get-task {}", self.chunk);
                self.pane.extend([text]);
            }
            self.after = Some(page.last().map_or(after, |last| last.number));
            let whole = page.len() < PAGE;
            self.pane.extend(page.iter().flat_map(lines));
            if whole {
                return Ok(());
            }
        }
    }
}

/// A receipt: what it is in the first line, its text, indented, in the others.
fn lines(receipt: &Receipt) -> Vec<String> {
    let mut about = format!("{:>4}  {}  {}", receipt.number, clock(receipt.at), safe(&receipt.author));
    let outcome = receipt.outcome.map(|outcome| outcome.as_str().to_owned());
    for part in [outcome, receipt.item.clone(), receipt.category.clone()].iter().flatten() {
        about.push_str("  ");
        about.push_str(&safe(part));
    }
    let text = receipt.shown();
    let text = text.lines().map(|line| format!("      {}", safe(line).replace('\t', "    ")));
    std::iter::once(about).chain(text).collect()
}
