//! `[review]`: whose decisions at a checkpoint count.

use super::table_reader::TableReader;
use crate::error::Result;

/// Whose decisions at a checkpoint count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReviewSettings {
    /// Whether every batch takes decisions of persons only, as with `review=person`.
    pub only_persons: bool,
    /// Whether a command at a terminal counts as a person's. Off by default: an agent with a shell can run it too.
    pub terminal_counts: bool,
}

impl ReviewSettings {
    pub(super) fn read(from: &mut TableReader<'_>) -> Result<Self> {
        Ok(ReviewSettings {
            only_persons: from.boolean("only_persons", false)?,
            terminal_counts: from.boolean("terminal_counts", false)?,
        })
    }
}
