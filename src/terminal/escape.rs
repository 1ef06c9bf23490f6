//! Text that agents wrote, made safe to print on a terminal.

use crate::model::field::is_hidden;

/// The text with control and bidirectional characters escaped, so that it can neither move the cursor nor
/// reverse a line. Line feeds and tabs stay.
pub(crate) fn escape_hidden(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !matches!(c, '\n' | '\t') {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape_hidden;

    #[test]
    fn control_and_bidirectional_characters_are_escaped() {
        let check = |text: &str, escaped: &str| assert_eq!(escape_hidden(text), escaped);
        check("two\nlines\tand a tab", "two\nlines\tand a tab");
        check("\u{1b}[2Jx\r", "\\u{1b}[2Jx\\u{d}");
        check("\u{202e}evil", "\\u{202e}evil");
        check("עברית 日本語", "עברית 日本語");
    }
}
