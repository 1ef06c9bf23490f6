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

/// The line in rows of at most this many columns, without a break at words. Each row but the first begins with
/// `continuation`, so that a terminal never breaks the line itself: what a terminal breaks stands where a line begins.
pub(crate) fn wrap_behind(line: &str, columns: usize, continuation: &str) -> Vec<String> {
    let columns = columns.max(1);
    // Half of the columns stay for the text.
    let indent: String = continuation.chars().take(columns / 2).collect();
    let mut rows = vec![String::new()];
    let mut used = 0;
    for c in line.chars() {
        let width = c.width().unwrap_or(0);
        if used + width > columns {
            used = indent.width();
            rows.push(indent.clone());
        }
        used += width;
        if let Some(last) = rows.last_mut() {
            last.push(c);
        }
    }
    rows
}

/// The text with its lines wrapped like [`wrap_behind`], for a terminal of this many columns. `continuation` returns what the
/// rows of a line continue behind.
pub(crate) fn wrap_lines(
    text: &str,
    columns: Option<usize>,
    continuation: impl Fn(&str) -> &'static str,
) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    let lines = text.split('\n').map(|line| line.replace('\t', "    "));
    let rows = lines.flat_map(|line| wrap_behind(&line, columns, continuation(&line)));
    rows.collect::<Vec<_>>().join("\n")
}

/// The text in lines of at most this many columns. A longer word gets lines of its own.
pub(crate) fn wrap_words(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let words = text.split_whitespace().flat_map(|word| wrap_behind(word, columns, ""));
    for word in words {
        let word = word.as_str();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_line_never_continues_in_the_first_column() {
        fn check(columns: usize, expected: &str) {
            let text = "[receipt 1]\n> abcdefghij [receipt 2]\n\n\ta long line 日本";
            let behind = |line: &str| if line.starts_with('>') { "> " } else { "  " };
            assert_eq!(wrap_lines(text, Some(columns), behind), expected);
        }
        check(80, "[receipt 1]\n> abcdefghij [receipt 2]\n\n    a long line 日本");
        check(13, "[receipt 1]\n> abcdefghij \n> [receipt 2]\n\n    a long li\n  ne 日本");
        assert_eq!(wrap_behind("日本語", 4, ""), ["日本", "語"]);
        assert_eq!(wrap_behind("", 4, ""), [""]);
        assert_eq!(wrap_lines("a\tb", None, |_| ">"), "a\tb");
        assert_eq!(wrap_words("abcdef gh", 4), ["abcd", "ef", "gh"]);
    }
}
