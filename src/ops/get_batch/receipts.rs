//! The receipts of a batch and its chunks.

use super::{BatchRequest, GetBatchReply};
use crate::error::Result;
use crate::ops::views::batch_items::ItemFilter;
use crate::ops::views::batch_receipts::receipts;

impl BatchRequest<'_> {
    pub(super) fn receipts(&self, filter: &ItemFilter, reply: &mut GetBatchReply) -> Result<()> {
        let page = receipts(self.tx, self.task, self.since, filter)?;
        let count = page.receipts.len();
        reply.message = match page.last {
            Some(last) => {
                reply.since = last.to_string();
                format!("{count} receipts, more follow: pass since")
            }
            None if page.has_earlier => format!(
                "The {count} newest receipts, newest last; there are earlier ones: get_batch(id=\"{}\", view=\"receipts\", since=\"0\"), with the same filters, lists all from the first on",
                self.task.id
            ),
            None => format!("{count} receipts, newest last"),
        };
        reply.receipts = Some(page.receipts);
        reply.batch = Some(self.id_and_status()?);
        Ok(())
    }
}
