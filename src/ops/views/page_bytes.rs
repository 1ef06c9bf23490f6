//! How many values fit into a page of a reply, measured in bytes.

use serde::Serialize;

/// The most bytes of a reply that reads: a little less than 64 kB, for what is added at the end.
pub(in crate::ops) const REPLY_BYTES: usize = 61_000;

/// The most bytes of the values of a page. A reply has under 64 kB, and says more than its page.
const PAGE_BYTES: usize = 48_000;

/// The bytes of a value as JSON.
pub(in crate::ops) fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}

/// How many of the first values fit into a page: at least one, so that every page makes progress.
fn fitting<T: Serialize>(values: &[T]) -> usize {
    let mut bytes = 0;
    let fits = values.iter().take_while(|value| {
        bytes += json_bytes(value);
        bytes <= PAGE_BYTES
    });
    fits.count().max(1).min(values.len())
}

/// Cuts a list to what fits into a page. Returns whether values were left out.
pub(in crate::ops) fn cut_to_page<T: Serialize>(values: &mut Vec<T>) -> bool {
    let fit = fitting(values);
    let is_cut = fit < values.len();
    values.truncate(fit);
    is_cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_value_that_would_make_it_too_large() {
        fn check(lengths: &[usize], expected: usize) {
            let values: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            assert_eq!(fitting(&values), expected, "{lengths:?}");
        }
        check(&[], 0);
        check(&[10, 10], 2);
        check(&[30_000, 10_000, 10_000, 1], 2);
        check(&[100_000, 1], 1);
    }
}
