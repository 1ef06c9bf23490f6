//! Lines to read, longer than the screen: where a reader stands in them.

use super::words::wrap;

/// The most lines that are kept.
const LINES: usize = 5_000;

/// Lines that grow at their end, seen from there unless the reader went up.
#[derive(Debug, Default)]
pub(super) struct Pane {
    pub(super) title: String,
    lines: Vec<String>,
    /// How many rows below the last one shown.
    below: usize,
    /// How many rows the last drawing had.
    height: usize,
}

impl Pane {
    /// An empty one.
    pub(super) fn new(title: String) -> Self {
        Pane { title, ..Pane::default() }
    }

    /// Adds lines; what came first goes where they are too many.
    pub(super) fn extend(&mut self, lines: impl IntoIterator<Item = String>) {
        self.lines.extend(lines);
        let excess = self.lines.len().saturating_sub(LINES);
        self.lines.drain(..excess);
    }

    /// Goes on in the last line.
    pub(super) fn go_on(&mut self, text: &str) {
        match self.lines.last_mut() {
            Some(last) => last.push_str(text),
            None => self.lines.push(text.to_owned()),
        }
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Goes so many rows up, or down where negative.
    pub(super) fn scroll(&mut self, rows: isize) {
        self.below = self.below.saturating_add_signed(rows);
    }

    /// A page in rows.
    pub(super) fn page(&self) -> isize {
        isize::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(1)
    }

    /// To the first row, or the last.
    pub(super) fn go_to(&mut self, first: bool) {
        self.below = if first { usize::MAX } else { 0 };
    }

    /// The rows that are in view.
    pub(super) fn rows(&mut self, columns: usize, height: usize) -> Vec<String> {
        self.height = height;
        // From the end, and no further up than is looked at.
        let wanted = self.below.saturating_add(height);
        let mut rows: Vec<String> = Vec::new();
        for line in self.lines.iter().rev() {
            if rows.len() >= wanted {
                break;
            }
            rows.extend(wrap(line, columns).into_iter().rev());
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
    fn the_end_is_in_view_until_the_reader_goes_up() {
        let mut pane = Pane::new("t".into());
        pane.extend((1..=10).map(|number| number.to_string()));
        assert_eq!(pane.rows(10, 3), ["8", "9", "10"]);
        pane.scroll(2);
        assert_eq!(pane.rows(10, 3), ["6", "7", "8"]);
        pane.go_to(true);
        assert_eq!(pane.rows(10, 3), ["1", "2", "3"]);
        pane.scroll(-1);
        assert_eq!(pane.rows(10, 3), ["2", "3", "4"]);
        pane.go_to(false);
        assert_eq!(pane.rows(10, 3), ["8", "9", "10"]);
        assert_eq!(pane.rows(1, 3), ["9", "1", "0"], "lines are broken");
        assert_eq!(Pane::default().rows(10, 3), Vec::<String>::new());
    }
}
