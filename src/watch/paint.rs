//! Putting text into a part of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::style::Theme;
use super::words::cut;

/// A part of the screen that is filled from the top.
pub(super) struct Paint<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) area: Rect,
    pub(super) theme: Theme,
}

impl Paint<'_> {
    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        usize::from(self.area.width)
    }

    /// How many rows are left.
    pub(super) fn rows(&self) -> usize {
        usize::from(self.area.height)
    }

    /// Fills the next row with parts, one behind the other.
    pub(super) fn row(&mut self, parts: &[(&str, Style)]) {
        let Some(y) = self.take_row() else { return };
        let (mut x, end) = (self.area.left(), self.area.right());
        for (text, style) in parts {
            (x, _) = self.buffer.set_stringn(x, y, text, usize::from(end - x), *style);
        }
    }

    /// A line across, with a title.
    pub(super) fn rule(&mut self, title: &str) {
        let title = format!("─ {} ", cut(title, self.columns().saturating_sub(4)));
        let rest = "─".repeat(self.columns());
        let (strong, dim) = (self.theme.strong(), self.theme.dim());
        self.row(&[(&title, strong), (&rest, dim)]);
    }

    /// The upper rows as a part of their own; what is left begins below them.
    pub(super) fn upper(&mut self, rows: usize) -> Paint<'_> {
        let rows = u16::try_from(rows).unwrap_or(u16::MAX).min(self.area.height);
        let area = Rect { height: rows, ..self.area };
        self.area = Rect { y: self.area.y + rows, height: self.area.height - rows, ..self.area };
        Paint { buffer: self.buffer, area, theme: self.theme }
    }

    /// The left columns as a part of their own; what is left stands behind them and a gap.
    pub(super) fn left(&mut self, columns: usize) -> Paint<'_> {
        let columns = u16::try_from(columns).unwrap_or(u16::MAX).min(self.area.width);
        let area = Rect { width: columns, ..self.area };
        let gap = (columns + 2).min(self.area.width);
        self.area = Rect { x: self.area.x + gap, width: self.area.width - gap, ..self.area };
        Paint { buffer: self.buffer, area, theme: self.theme }
    }

    fn take_row(&mut self) -> Option<u16> {
        let y = self.area.y;
        self.area.height = self.area.height.checked_sub(1)?;
        self.area.y += 1;
        Some(y)
    }
}
