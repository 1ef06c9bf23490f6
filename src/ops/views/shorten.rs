//! Shortens texts for replies.

use crate::model::id::TaskId;

/// The most characters of a receipt or a reason in a reply that lists many.
const LISTED_CHARS: usize = 300;

/// The first 300 characters of a text that no call returns whole.
pub(in crate::ops) fn shorten(text: String) -> String {
    shorten_to(text, LISTED_CHARS)
}

/// The first `max` characters, with an ellipsis if the text is longer.
pub(in crate::ops) fn shorten_to(mut text: String, max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The start of a text, in at most `max` bytes, with an ellipsis if the text is longer.
pub(in crate::ops) fn shorten_to_bytes(mut text: String, max: usize) -> String {
    if text.len() > max {
        let longest = max.saturating_sub('…'.len_utf8());
        let starts = text.char_indices().map(|(at, _)| at);
        let end = starts.take_while(|at| *at <= longest).last().unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The first 300 characters of the receipt with this number on a task.
pub(in crate::ops) fn shorten_receipt(text: String, task: &TaskId, number: u64) -> String {
    shorten_receipt_to(text, LISTED_CHARS, task, number)
}

/// The first `max` characters of a receipt. If the receipt is longer, the text says that it is cut, and which call returns
/// the whole receipt: an agent judges by it.
pub(in crate::ops) fn shorten_receipt_to(text: String, max: usize, task: &TaskId, number: u64) -> String {
    let bytes = text.len();
    let mut shortened = shorten_to(text, max);
    if shortened.len() < bytes {
        shortened += &format!(
            " [cut; get_task(id=\"{task}\", receipts_after={}) returns the whole text]",
            number.saturating_sub(1)
        );
    }
    shortened
}
