//! A rectangle of the screen that is filled from top to bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::cut;
use super::theme::Theme;

/// The rows of a rectangle that are still empty.
pub(super) struct Canvas<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) area: Rect,
    pub(super) theme: Theme,
}

impl Canvas<'_> {
    /// The width in columns.
    pub(super) fn columns(&self) -> usize {
        usize::from(self.area.width)
    }

    /// How many rows are left.
    pub(super) fn rows(&self) -> usize {
        usize::from(self.area.height)
    }

    /// Writes texts one after the other in the next row.
    pub(super) fn row(&mut self, texts: &[(&str, Style)]) {
        let Some(y) = self.next_row() else { return };
        let (mut x, end) = (self.area.left(), self.area.right());
        for (text, style) in texts {
            (x, _) = self.buffer.set_stringn(x, y, text, usize::from(end - x), *style);
        }
    }

    /// Draws a horizontal line with a title in the next row.
    pub(super) fn rule(&mut self, title: &str) {
        let title = format!("─ {} ", cut(title, self.columns().saturating_sub(4)));
        let line = "─".repeat(self.columns());
        let (strong, dim) = (self.theme.strong(), self.theme.dim());
        self.row(&[(&title, strong), (&line, dim)]);
    }

    /// Splits off the upper rows.
    pub(super) fn split_top(&mut self, rows: usize) -> Canvas<'_> {
        let rows = u16::try_from(rows).unwrap_or(u16::MAX).min(self.area.height);
        let area = Rect { height: rows, ..self.area };
        self.area = Rect { y: self.area.y + rows, height: self.area.height - rows, ..self.area };
        Canvas { buffer: self.buffer, area, theme: self.theme }
    }

    /// Splits off the left columns, with a gap between them and the rest.
    pub(super) fn split_left(&mut self, columns: usize) -> Canvas<'_> {
        let columns = u16::try_from(columns).unwrap_or(u16::MAX).min(self.area.width);
        let area = Rect { width: columns, ..self.area };
        let gap = (columns + 2).min(self.area.width);
        self.area = Rect { x: self.area.x + gap, width: self.area.width - gap, ..self.area };
        Canvas { buffer: self.buffer, area, theme: self.theme }
    }

    fn next_row(&mut self) -> Option<u16> {
        let y = self.area.y;
        self.area.height = self.area.height.checked_sub(1)?;
        self.area.y += 1;
        Some(y)
    }
}
