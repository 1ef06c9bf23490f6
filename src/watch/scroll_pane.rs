//! Lines that are longer than the screen, and the part of them that is visible.

use crate::terminal::wrap_behind;

/// The most lines that are kept.
const MAX_LINES: usize = 5_000;

/// Lines that grow at their end. The end is visible until the person scrolls up.
#[derive(Debug, Default)]
pub(super) struct ScrollPane {
    pub(super) title: String,
    /// What the second and every later row of a wrapped line begins with. No line begins with it, so that no text can stand
    /// where a line begins.
    continuation: &'static str,
    lines: Vec<String>,
    /// How many rows are below the visible ones.
    below: usize,
    /// How many rows were visible when the pane was last drawn.
    height: usize,
}

impl ScrollPane {
    /// An empty pane.
    pub(super) fn new(title: String, continuation: &'static str) -> Self {
        ScrollPane { title, continuation, ..ScrollPane::default() }
    }

    /// Adds lines, and drops the oldest if there are too many.
    pub(super) fn extend(&mut self, lines: impl IntoIterator<Item = String>) {
        self.lines.extend(lines);
        let excess = self.lines.len().saturating_sub(MAX_LINES);
        self.lines.drain(..excess);
    }

    /// Adds text to the last line.
    pub(super) fn append_to_last(&mut self, text: &str) {
        match self.lines.last_mut() {
            Some(last) => last.push_str(text),
            None => self.lines.push(text.to_owned()),
        }
    }

    /// Whether there are no lines.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Scrolls up by this many rows, or down if negative.
    pub(super) fn scroll(&mut self, rows: isize) {
        self.below = self.below.saturating_add_signed(rows);
    }

    /// The rows of a page.
    pub(super) fn page(&self) -> isize {
        isize::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(1)
    }

    /// Scrolls to the first row, or to the last.
    pub(super) fn scroll_to_end(&mut self, to_first: bool) {
        self.below = if to_first { usize::MAX } else { 0 };
    }

    /// The visible rows.
    pub(super) fn visible_rows(&mut self, columns: usize, height: usize) -> Vec<String> {
        self.height = height;
        // Lines are wrapped from the end, and only as many as are needed.
        let wanted = self.below.saturating_add(height);
        let mut rows: Vec<String> = Vec::new();
        for line in self.lines.iter().rev() {
            if rows.len() >= wanted {
                break;
            }
            rows.extend(wrap_behind(line, columns, self.continuation).into_iter().rev());
        }
        self.below = self.below.min(rows.len().saturating_sub(height));
        rows.reverse();
        rows.truncate(rows.len() - self.below);
        rows.split_off(rows.len().saturating_sub(height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_visible_until_the_person_scrolls_up() {
        let mut pane = ScrollPane::new("t".into(), "");
        pane.extend((1..=10).map(|number| number.to_string()));
        assert_eq!(pane.visible_rows(10, 3), ["8", "9", "10"]);
        pane.scroll(2);
        assert_eq!(pane.visible_rows(10, 3), ["6", "7", "8"]);
        pane.scroll_to_end(true);
        assert_eq!(pane.visible_rows(10, 3), ["1", "2", "3"]);
        pane.scroll(-1);
        assert_eq!(pane.visible_rows(10, 3), ["2", "3", "4"]);
        pane.scroll_to_end(false);
        assert_eq!(pane.visible_rows(10, 3), ["8", "9", "10"]);
        assert_eq!(pane.visible_rows(1, 3), ["9", "1", "0"], "lines are wrapped");
        let mut pane = ScrollPane::new("t".into(), "  ");
        pane.extend(["abcdefghij".to_owned()]);
        assert_eq!(pane.visible_rows(6, 3), ["abcdef", "  ghij"]);
        assert_eq!(ScrollPane::default().visible_rows(10, 3), Vec::<String>::new());
    }
}
