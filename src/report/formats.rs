//! The same part of a report in both formats.

use super::{html, markdown};

/// A text in both formats.
#[derive(Debug, Default, Clone)]
pub(super) struct Formats {
    pub(super) html: String,
    pub(super) markdown: String,
}

impl Formats {
    /// The size of the larger one, in bytes. Both are split at the same places.
    pub(super) fn len(&self) -> usize {
        self.html.len().max(self.markdown.len())
    }

    /// Appends a text.
    pub(super) fn push(&mut self, more: &Formats) {
        self.html += &more.html;
        self.markdown += &more.markdown;
    }
}

/// The first lines of a table, or of another block that rows are written to, and its last lines.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) open: Formats,
    pub(super) close: Formats,
}

impl Table {
    /// A table with these columns; a name with a trailing `#` is a column of numbers.
    pub(super) fn new(class: &str, columns: &[&str]) -> Self {
        Table {
            open: Formats { html: html::table_open(class, columns), markdown: markdown::table_open(columns) },
            close: Formats { html: html::TABLE_CLOSE.to_owned(), markdown: "\n".to_owned() },
        }
    }

    /// Rows that are blocks of their own.
    pub(super) fn blocks() -> Self {
        Table { open: Formats::default(), close: Formats::default() }
    }

    /// The table below a heading.
    pub(super) fn below(mut self, heading: &Formats) -> Self {
        self.open.html.insert_str(0, &heading.html);
        self.open.markdown.insert_str(0, &heading.markdown);
        self
    }
}
