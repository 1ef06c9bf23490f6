//! Text that fits: cut and padded to columns, lengths of time, bars.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::timestamp::Timestamp;

/// The text in exactly so many columns: padded, or cut with `…`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut shown = cut(text, columns);
    shown.extend(std::iter::repeat_n(' ', columns.saturating_sub(shown.width())));
    shown
}

/// The text in at most so many columns, cut with `…` where it is longer.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if used + width + 1 > columns {
            break;
        }
        used += width;
        shown.push(c);
    }
    if columns > 0 {
        shown.push('…');
    }
    shown
}

/// A line broken into those of at most so many columns.
pub(super) fn wrap(line: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in line.chars() {
        let width = c.width().unwrap_or(0);
        if used + width > columns.max(1) {
            lines.push(String::new());
            used = 0;
        }
        used += width;
        if let Some(last) = lines.last_mut() {
            last.push(c);
        }
    }
    lines
}

/// A bar of so many columns: what is done of it, and the rest.
pub(super) fn bar(done: u64, of: u64, columns: usize) -> (String, String) {
    let full = if of == 0 {
        columns
    } else {
        usize::try_from(u128::from(done.min(of)) * columns as u128 / u128::from(of)).unwrap_or(columns)
    };
    // What is begun shows, and what is not through is not full.
    let full = if done > 0 { full.max(1.min(columns)) } else { full };
    ("█".repeat(full), "░".repeat(columns - full))
}

/// A percentage, never 100 before the end.
pub(super) fn percent(done: u64, of: u64) -> u64 {
    if of == 0 { 100 } else { u64::try_from(u128::from(done) * 100 / u128::from(of)).unwrap_or(100) }
}

/// A length of time in the two units that matter.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// How many seconds lie between two moments; none where a clock jumped back.
pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to.millis() - from.millis()) / 1_000).unwrap_or(0)
}

/// The time of day, UTC.
pub(super) fn clock(moment: Timestamp) -> String {
    let seconds = moment.millis().rem_euclid(86_400_000) / 1_000;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `1 chunk`, `2 chunks`.
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_just_its_columns() {
        fn check(text: &str, columns: usize, shown: &str) {
            assert_eq!(fit(text, columns), shown, "{text} in {columns}");
            assert_eq!(fit(text, columns).width(), columns);
        }
        check("abc", 5, "abc  ");
        check("abcdef", 4, "abc…");
        check("日本語", 4, "日… ");
        check("日本語", 6, "日本語");
        check("abc", 0, "");
    }

    #[test]
    fn a_line_is_broken_where_the_columns_end() {
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_bar_shows_what_is_begun_and_is_full_at_the_end_alone() {
        fn check(done: u64, of: u64, full: usize) {
            assert_eq!(bar(done, of, 10).0.chars().count(), full, "{done} of {of}");
        }
        check(0, 1_000, 0);
        check(1, 1_000, 1);
        check(999, 1_000, 9);
        check(1_000, 1_000, 10);
        check(0, 0, 10);
        assert_eq!(percent(999, 1_000), 99);
    }

    #[test]
    fn a_length_of_time_is_told_in_two_units() {
        let told: Vec<_> = [59, 61, 3_700, 90_000].into_iter().map(span).collect();
        assert_eq!(told, ["59 s", "1 min 01 s", "1 h 01 min", "1 d 1 h"]);
    }
}
