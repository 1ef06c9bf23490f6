//! Shortens texts for replies.

/// The most characters of a receipt or a reason in a reply that lists many.
const LISTED_CHARS: usize = 300;

/// The first 300 characters.
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
