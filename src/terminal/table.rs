//! Tables without borders.

use comfy_table::{Table, presets};

/// An empty table with the style of every table here: columns apart by spaces, no lines.
pub(crate) fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
