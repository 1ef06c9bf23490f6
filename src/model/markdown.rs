//! Text that agents wrote, escaped for Markdown. It is shown as it is stored, and hidden characters are made visible.

use std::fmt::{self, Display, Formatter, Write};

use super::hidden::with_hidden;

/// Text in a cell, a heading or a paragraph of Markdown, but not at the start of a line.
#[derive(Debug, Clone, Copy)]
pub struct Markdown<'a>(pub &'a str);

impl Display for Markdown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut before = ['\0'; 3];
        let mut chars = with_hidden(self.0.trim()).peekable();
        while let Some((c, is_hidden)) = chars.next() {
            let next = chars.peek().map(|(next, _)| *next);
            match c {
                '\n' => f.write_str("<br>")?,
                '\t' => f.write_char(' ')?,
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                // Renderers differ in how they read a backslash before the border of a cell.
                '|' => f.write_str("&#124;")?,
                // Hidden characters are shown as \u{…}, in which the backslash must not escape in Markdown.
                '\\' => f.write_str("&#92;")?,
                '`' | '*' | '_' | '[' | ']' | '{' | '}' | '#' | '!' | '~' | '$' | '^' | '@' => {
                    write!(f, "\\{c}")?;
                }
                // Renderers turn bare addresses into links and :words: into emoji, but not 10:30.
                ':' if !(before[2].is_ascii_digit() && next.is_some_and(|next| next.is_ascii_digit()))
                    && next.is_some_and(|next| !next.is_whitespace()) =>
                {
                    f.write_str("\\:")?;
                }
                '.' if before.iter().all(|c| matches!(c, 'w' | 'W')) => f.write_str("\\.")?,
                c if is_hidden => {
                    let number = c.escape_unicode().to_string();
                    f.write_str(&number.replace('\\', "&#92;").replace('{', "\\{").replace('}', "\\}"))?;
                }
                c => f.write_char(c)?,
            }
            before = [before[1], before[2], c];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_text_stays_text() {
        let check = |text: &str, expected: &str| assert_eq!(Markdown(text).to_string(), expected, "{text:?}");
        check("fix: a plain (subject), 50% - done.", "fix: a plain (subject), 50% - done.");
        check("a|b\\|c", "a&#124;b&#92;&#124;c");
        check("[x](javascript:y)", "\\[x\\](javascript\\:y)");
        check("![i](http://e/i.png)", "\\!\\[i\\](http\\://e/i.png)");
        check("at 10:30:00Z :100: a: b", "at 10:30:00Z \\:100: a: b");
        check("www.evil.example WWW.x", "www\\.evil.example WWW\\.x");
        check("**b** _i_ `c` ~~s~~", "\\*\\*b\\*\\* \\_i\\_ \\`c\\` \\~\\~s\\~\\~");
        check("</details><img src=x>", "&lt;/details&gt;&lt;img src=x&gt;");
        check("&#60;b&#62;", "&amp;\\#60;b&amp;\\#62;");
        check("- a\n# b\r\n", "- a<br>\\# b");
        check("a\u{202e}b", "a&#92;u\\{202e\\}b");
    }

    proptest::proptest! {
        #[test]
        fn no_text_escapes_its_context(text in "(?s).{0,40}|[<>&|\\\\`*:/w.\n\\[\\]!a-z\"']{0,40}") {
            let markdown = Markdown(&text).to_string();
            assert!(!markdown.replace("<br>", "").contains(['<', '>', '|', '\n']), "{markdown}");
            assert!(!markdown.replace("\\:", "").contains("://") && !markdown.to_lowercase().contains("www."), "{markdown}");
            assert!(!with_hidden(&markdown).any(|(_, is_hidden)| is_hidden), "{markdown:?}");
        }
    }
}
