//! How wide the terminal is, and text that fits into its columns.

use std::io::IsTerminal as _;

use ratatui::crossterm::terminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns of the terminal on standard output; `None` if it is a file or a pipe.
pub(crate) fn stdout_columns() -> Option<usize> {
    if std::io::stdout().is_terminal() { terminal_columns() } else { None }
}

/// The columns of the terminal of this process, if it has one.
pub(crate) fn terminal_columns() -> Option<usize> {
    terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// The text in at most this many columns, cut with `…` if it is longer.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut start = String::new();
    let mut used = 0;
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if used + width + 1 > columns {
            break;
        }
        used += width;
        start.push(c);
    }
    if columns > 0 {
        start.push('…');
    }
    start
}

/// The text in lines of at most this many columns. A longer word gets a line of its own.
pub(crate) fn wrap_words(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
