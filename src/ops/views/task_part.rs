//! A part of a task that is too large for the other replies: a text, a list or an item, page by page.

use schemars::JsonSchema;
use serde::Serialize;

use super::instructions::batch_instructions;
use super::open_items::open_item;
use super::task::TaskView;
use super::task_part_name::Part;
use crate::error::{Code, Error, Result};
use crate::model::author::AuthorKind;
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::store::StoreRead;

/// The most bytes of a page's text, as JSON.
const PAGE_BYTES: usize = 48_000;

/// A page of a part.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::ops) struct PartView {
    /// Which part.
    of: String,
    /// Who wrote the receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// What its author is; absent if the store does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    author_kind: Option<AuthorKind>,
    /// The text of this page. Put the pages together; a list or an item is the JSON text of it.
    text: String,
    /// Where this page starts, in bytes.
    offset: usize,
    /// The bytes of the whole part.
    bytes: usize,
    /// The offset of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

impl PartView {
    /// Reads the page of a part that starts at a byte.
    ///
    /// # Errors
    /// `not_found` if the task has no such part; `invalid_argument` if no character starts at `offset`.
    pub(in crate::ops) fn read(tx: &dyn StoreRead, task: &Task, part: &Part, offset: usize) -> Result<Self> {
        let (mut author, mut author_kind) = (None, None);
        let text = match part {
            Part::InitialText => tx.initial_text(task.row)?,
            Part::Instructions => instructions(tx, task)?,
            Part::Receipt(number) => {
                let receipt = tx.receipt(task.row, *number)?.ok_or_else(|| {
                    Error::not_found(format!(
                        "Task {} has no receipt {number}; it has {}, numbered from 1",
                        task.id, task.receipt_count
                    ))
                })?;
                (author, author_kind) = (Some(receipt.author), receipt.author_kind);
                receipt.text
            }
            Part::Item(key) => json_text(&open_item(tx, task, key)?)?,
            Part::List(name) => {
                let view = TaskView::compact(tx, task)?;
                json_text(match *name {
                    "tags" => &view.tags,
                    "depends_on" => &view.depends_on,
                    _ => &view.soft_depends_on,
                })?
            }
        };
        if !text.is_char_boundary(offset) {
            return Err(Error::invalid(format!(
                "offset: {offset} is not the start of a page of '{}', which has {} bytes; pass 0, or next_offset of the last reply",
                excerpt(&part.to_string()),
                text.len()
            )));
        }
        let page = page_of(&text[offset..]);
        let end = offset + page.len();
        Ok(PartView {
            of: part.to_string(),
            author,
            author_kind,
            text: page.to_owned(),
            offset,
            bytes: text.len(),
            next_offset: (end < text.len()).then_some(end),
        })
    }

    /// The result in a line.
    pub(in crate::ops) fn message(&self) -> String {
        let end = self.offset + self.text.len();
        let more = match self.next_offset {
            Some(next) => format!("; the next page: offset={next}"),
            None => String::new(),
        };
        format!("Bytes {} to {end} of {}{more}", self.offset, self.bytes)
    }
}

fn json_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal("a part of the task could not be written as JSON", error))
}

fn instructions(tx: &dyn StoreRead, task: &Task) -> Result<String> {
    let Some(chunk) = tx.chunk(task)? else { return tx.initial_text(task.row) };
    let batch = tx.batch(chunk.batch_row)?.ok_or_else(|| {
        Error::new(Code::Internal, format!("the batch of chunk {} is missing: the store is damaged", task.id))
    })?;
    Ok(batch_instructions(&batch, &chunk))
}

/// The start of a text that fits into a page as JSON.
fn page_of(text: &str) -> &str {
    let mut bytes = 0;
    for (at, c) in text.char_indices() {
        bytes += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c < ' ' => 6,
            c => c.len_utf8(),
        };
        if bytes > PAGE_BYTES {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::views::page_bytes::json_bytes;

    #[test]
    fn a_page_is_as_long_as_its_json_may_be() {
        for unit in ["x", "ü", "🐝", "\n", "\"", "\u{1}", "日x"] {
            let text = unit.repeat(60_000);
            let page = page_of(&text);
            let bytes = json_bytes(&page) - 2;
            assert!(bytes <= PAGE_BYTES && bytes > PAGE_BYTES - 8, "{unit:?}: {bytes}");
        }
        assert_eq!(page_of(&"x".repeat(PAGE_BYTES)).len(), PAGE_BYTES);
        assert_eq!(page_of(&"x".repeat(PAGE_BYTES + 1)).len(), PAGE_BYTES);
        assert_eq!(page_of(""), "");
    }
}
