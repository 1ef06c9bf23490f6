//! Text that agents wrote, escaped for HTML and for blocks of Markdown; `model::markdown` has the rest of Markdown. It is
//! shown as it is stored, and hidden characters are made visible.

use std::fmt::{self, Display, Formatter, Write};

use crate::model::hidden::with_hidden;

/// Text in HTML, inside an element or a quoted attribute.
pub(super) struct Html<'a>(pub(super) &'a str);

/// Text with several lines as a Markdown code block.
pub(super) struct Fenced<'a>(pub(super) &'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        with_hidden(self.0).try_for_each(|(c, is_hidden)| match c {
            '\n' | '\t' => f.write_char(c),
            c => write_html(f, c, is_hidden),
        })
    }
}

fn write_html(f: &mut Formatter<'_>, c: char, is_hidden: bool) -> fmt::Result {
    match c {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        c => write_visible(f, c, is_hidden),
    }
}

/// Writes a character, or its escape if it is hidden.
fn write_visible(f: &mut Formatter<'_>, c: char, is_hidden: bool) -> fmt::Result {
    if is_hidden { write!(f, "{}", c.escape_unicode()) } else { f.write_char(c) }
}

impl Display for Fenced<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Longer than any run of backticks in the text, so that the text cannot end the block.
        let longest = self.0.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        writeln!(f, "{fence}text")?;
        for (c, is_hidden) in with_hidden(self.0) {
            if matches!(c, '\n' | '\t') { f.write_char(c)? } else { write_visible(f, c, is_hidden)? }
        }
        write!(f, "\n{fence}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_text_stays_text() {
        let check = |text: &str, expected: &str| assert_eq!(Html(text).to_string(), expected, "{text:?}");
        check("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
        check("\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;");
        check("two\nlines", "two\nlines");
        check("evil\u{202e}txt\u{1b}[31m\u{0}", "evil\\u{202e}txt\\u{1b}[31m\\u{0}");
        check("עברית ünï", "עברית ünï");
    }

    #[test]
    fn text_cannot_end_its_code_block() {
        assert_eq!(Fenced("a\nb").to_string(), "```text\na\nb\n```");
        assert_eq!(Fenced("x\n`````\ny").to_string(), "``````text\nx\n`````\ny\n``````");
        assert_eq!(Fenced("a\u{1b}").to_string(), "```text\na\\u{1b}\n```");
    }

    proptest::proptest! {
        #[test]
        fn no_text_escapes_its_context(text in "(?s).{0,40}|[<>&|\\\\`*:/w.\n\\[\\]!a-z\"']{0,40}") {
            let html = Html(&text).to_string();
            assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
            assert!(!with_hidden(&html).any(|(c, is_hidden)| is_hidden && !matches!(c, '\n' | '\t')), "{html:?}");
        }
    }
}
