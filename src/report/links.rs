//! What the links of a report lead to: pages, and places in them.

/// Where a text stands: links depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In `report.html` or `report.md`.
    FirstPage,
    /// In the folder of pages.
    Page,
}

/// What a link leads to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The file without its extension, relative to the place of the link; `None`: the file that holds the link.
    pub(super) file: Option<String>,
    /// The id of an element in the HTML file. Markdown has no ids that every renderer keeps.
    pub(super) anchor: String,
}

/// What a page belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageName {
    /// The beginning of the files' names.
    pub(super) file: &'static str,
    /// The section's title.
    pub(super) title: &'static str,
    /// The number of the page in its section, from 1.
    pub(super) number: usize,
}

impl PageName {
    /// The name of the files without the extension.
    pub(super) fn stem(self) -> String {
        format!("{}-{:04}", self.file, self.number)
    }

    /// The neighbour that is this many pages further.
    pub(super) fn neighbour(self, distance: isize) -> Option<PageName> {
        let number = self.number.checked_add_signed(distance).filter(|number| *number > 0)?;
        Some(PageName { number, ..self })
    }
}
