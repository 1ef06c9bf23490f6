//! Text that fits into columns, progress bars, percentages and times.

use unicode_width::UnicodeWidthStr;

use crate::model::timestamp::Timestamp;
pub(super) use crate::terminal::cut;
use crate::terminal::wrap_behind;

/// The text in exactly this many columns: padded, or cut with `…`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(fitted.width())));
    fitted
}

/// The text in at most `rows` lines of at most this many columns, broken at spaces, and within words that are longer
/// than a line. The last line is cut if more follows.
pub(super) fn wrap_words(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').flat_map(|word| wrap_behind(word, columns, "")) {
        let is_last = lines.len() >= rows;
        match lines.last_mut() {
            Some(line) if is_last || line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// The full and the empty part of a progress bar with this many columns.
pub(super) fn bar(done: u64, total: u64, columns: usize) -> (String, String) {
    let full = if total == 0 {
        columns
    } else {
        usize::try_from(u128::from(done.min(total)) * columns as u128 / u128::from(total)).unwrap_or(columns)
    };
    // Any progress is visible; rounding down keeps an unfinished bar from looking full.
    let full = if done > 0 { full.max(1.min(columns)) } else { full };
    ("█".repeat(full), "░".repeat(columns - full))
}

/// A percentage, rounded down so that it is 100 only at the end.
pub(super) fn percent(done: u64, total: u64) -> u64 {
    if total == 0 { 100 } else { u64::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100) }
}

/// A duration in its two largest units.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The seconds between two moments; 0 if the clock was set back.
pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to.millis() - from.millis()) / 1_000).unwrap_or(0)
}

/// The time of day in UTC.
pub(super) fn time_of_day(moment: Timestamp) -> String {
    let seconds = moment.millis().rem_euclid(86_400_000) / 1_000;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `1 chunk`, `2 chunks`.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitted_text_has_exactly_its_columns() {
        fn check(text: &str, columns: usize, fitted: &str) {
            assert_eq!(fit(text, columns), fitted, "{text} in {columns}");
            assert_eq!(fit(text, columns).width(), columns);
        }
        check("abc", 5, "abc  ");
        check("abcdef", 4, "abc…");
        check("日本語", 4, "日… ");
        check("日本語", 6, "日本語");
        check("abc", 0, "");
    }

    #[test]
    fn words_are_wrapped_at_spaces_and_cut_at_the_end() {
        assert_eq!(wrap_words("ab cd ef", 5, 3), ["ab cd", "ef"]);
        assert_eq!(wrap_words("ab cd ef gh", 5, 1), ["ab c…"]);
        assert_eq!(wrap_words("a-long-word b", 5, 3), ["a-lon", "g-wor", "d b"]);
        assert_eq!(wrap_words("", 5, 2), [""]);
    }

    #[test]
    fn a_bar_shows_any_progress_and_is_full_only_at_the_end() {
        fn check(done: u64, total: u64, full: usize) {
            assert_eq!(bar(done, total, 10).0.chars().count(), full, "{done} of {total}");
        }
        check(0, 1_000, 0);
        check(1, 1_000, 1);
        check(999, 1_000, 9);
        check(1_000, 1_000, 10);
        check(0, 0, 10);
        assert_eq!(percent(999, 1_000), 99);
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let durations: Vec<_> = [59, 61, 3_700, 90_000].into_iter().map(duration).collect();
        assert_eq!(durations, ["59 s", "1 min 01 s", "1 h 01 min", "1 d 1 h"]);
    }
}
