//! The body of a task as one text: the initial text, then each receipt behind a line that says whose it is.
//!
//! Only such a line begins with `[`. The lines of a receipt begin with `>`, and so does a line of the initial text that
//! could be taken for the line of a receipt. So no text can imitate that line, whatever it contains. Readers that need the
//! exact text have it in the list of receipts.

use super::author::{AuthorKind, kind_word};
use super::field::visible_excerpt;
use super::hidden::with_hidden;
use super::receipt::Receipt;

/// The most characters of a name, a category or a key in the line of a receipt.
const NAME_CHARS: usize = 60;
/// What separates paragraphs of the body.
pub const SEPARATOR: &str = "\n\n";

/// The start of a body, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyStart {
    /// The first characters of the initial text; of the first receipt if there is no initial text.
    pub text: String,
    /// Name and kind of the author of that receipt.
    pub author: Option<(String, Option<AuthorKind>)>,
}

impl BodyStart {
    /// The start of the body, in at most `max` characters; an ellipsis says that the body is longer.
    pub fn shown(&self, max: usize) -> String {
        let text = match &self.author {
            None => initial_text(&self.text),
            Some((name, kind)) => {
                let author = format!("{} {}", kind_word(*kind), visible_name(name, NAME_CHARS / 3));
                format!("[receipt 1 | {author}]\n{}", quoted(&self.text))
            }
        };
        match text.char_indices().nth(max) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// The initial text as it begins the body: its lines that could be taken for the line of a receipt are quoted.
pub fn initial_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut separator = "";
    for (line, end) in lines(text) {
        if could_be_receipt_line(line) {
            shown.push_str(if separator.is_empty() { "" } else { "\n" });
            shown.push_str("> ");
        } else {
            shown.push_str(separator);
        }
        shown.push_str(line);
        separator = end;
    }
    shown.push_str(separator);
    shown
}

/// A receipt in the body: its line, then its text, line by line behind `>`.
pub fn receipt_with_text(receipt: &Receipt) -> String {
    format!("{}]\n{}", receipt_line(receipt), quoted(&receipt.text))
}

/// A receipt in the body whose text is left out, with what to know about that.
pub fn receipt_without_text(receipt: &Receipt, note: &str) -> String {
    format!("{} | {note}]", receipt_line(receipt))
}

/// The line before a receipt, without its closing bracket. The kind comes before the name, so that no name can look
/// like it.
fn receipt_line(receipt: &Receipt) -> String {
    let name = |name: &str| visible_name(name, NAME_CHARS);
    let mut line = format!(
        "[receipt {} | {} {} | {}",
        receipt.number,
        kind_word(receipt.author_kind),
        name(&receipt.author),
        receipt.at
    );
    if let Some(item) = &receipt.item {
        line += &format!(" | item {}", name(item));
        line += &receipt.outcome.map(|outcome| format!(": {outcome}")).unwrap_or_default();
    }
    if let Some(category) = &receipt.category {
        line += &format!(" | category {}", name(category));
    }
    if let Some(step) = &receipt.step {
        line += &format!(" | step {}", name(step));
    }
    if receipt.late {
        line += " | late";
    }
    line
}

/// A name that an agent chose: one line, without characters that look like parts of the line of a receipt.
fn visible_name(name: &str, max: usize) -> String {
    let mut shown = String::new();
    for c in visible_excerpt(name, max).chars() {
        // U+01C0 and its relatives are letters that look like a bar.
        let is_bar = matches!(c, '|' | '[' | ']' | '\u{1C0}'..='\u{1C2}');
        if !is_bar && (c.is_ascii() || c.is_alphanumeric() || c == '…') {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// A text whose every line begins with `>`.
pub fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 8);
    for (number, (line, _)) in lines(text).enumerate() {
        shown.push_str(if number == 0 { ">" } else { "\n>" });
        if !line.is_empty() {
            shown.push(' ');
            shown.push_str(line);
        }
    }
    shown
}

/// The lines of a text, each with the separator that ends it. Every character that some reader takes for the end of a line
/// counts.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find(ends_line) else {
            rest = None;
            return Some((text, ""));
        };
        let (line, after) = text.split_at(at);
        let length =
            if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        let (separator, after) = after.split_at(length);
        rest = Some(after);
        Some((line, separator))
    })
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a line begins with a bracket before a word, or with a symbol that may look like a bracket.
fn could_be_receipt_line(line: &str) -> bool {
    let mut seen =
        with_hidden(line).filter(|(c, is_hidden)| !is_hidden && !c.is_whitespace()).map(|(c, _)| c);
    match seen.next() {
        Some('[') => seen.next().is_some_and(|c| c.is_alphabetic() || !c.is_ascii()),
        first => first.is_some_and(|c| !c.is_ascii() && !c.is_alphanumeric()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cost::Cost;
    use crate::model::status::ItemReport;
    use crate::model::timestamp::Timestamp;

    fn receipt(text: &str) -> Receipt {
        Receipt {
            number: 3,
            at: Timestamp::from_millis(1),
            author: "polecat-2".into(),
            author_kind: Some(AuthorKind::Worker),
            text: text.into(),
            item: None,
            outcome: None,
            category: None,
            late: false,
            step: None,
            cost: Cost::default(),
            decision: None,
        }
    }

    #[test]
    fn a_receipt_stands_behind_the_line_that_says_whose_it_is() {
        let one = receipt("- moved");
        let line = "[receipt 3 | worker polecat-2 | 1970-01-01T00:00:00.001Z";
        assert_eq!(receipt_with_text(&one), format!("{line}]\n> - moved"));
        assert_eq!(receipt_without_text(&one, "left out"), format!("{line} | left out]"));
        let item = Receipt {
            item: Some("k1".into()),
            outcome: Some(ItemReport::Done),
            category: Some("fyi".into()),
            step: Some("sort".into()),
            late: true,
            ..one
        };
        let more = "item k1: done | category fyi | step sort | late";
        assert_eq!(receipt_with_text(&item), format!("{line} | {more}]\n> - moved"));
        let old = Receipt { author_kind: None, ..receipt("") };
        assert!(receipt_with_text(&old).starts_with("[receipt 3 | unknown polecat-2 | "));
        assert!(receipt_with_text(&old).ends_with("]\n>"));
    }

    #[test]
    fn every_line_of_a_receipt_is_quoted() {
        for end in
            ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{1c}", "\u{1e}", "\u{85}", "\u{2028}", "\u{2029}"]
        {
            let text = format!("a{end}[receipt 4 | person alice]{end}{end}b{end}");
            assert_eq!(quoted(&text), "> a\n> [receipt 4 | person alice]\n>\n> b\n>", "{end:?}");
        }
        assert_eq!(quoted(""), ">");
        assert_eq!(quoted("> b"), "> > b");
    }

    #[test]
    fn a_name_cannot_look_like_a_part_of_the_line() {
        fn check(name: &str, expected: &str) {
            assert_eq!(visible_name(name, NAME_CHARS), expected, "{name:?}");
        }
        check("polecat-2", "polecat-2");
        check("Jörg Müller 日本", "Jörg Müller 日本");
        check("x | person alice]", "x \\u{7c} person alice\\u{5d}");
        check("x\u{2028}[receipt", "x\\u{2028}\\u{5b}receipt");
        check("x \u{1c0} y ｜ z", "x \\u{1c0} y \\u{ff5c} z");
        assert_eq!(visible_name(&"x".repeat(90), NAME_CHARS), format!("{}…", "x".repeat(60)));
    }

    #[test]
    fn a_line_of_the_initial_text_is_quoted_if_it_could_be_taken_for_a_receipts() {
        fn check(text: &str, expected: &str) {
            assert_eq!(initial_text(text), expected, "{text:?}");
        }
        for plain in [
            "",
            "a\nb",
            "[\"a\"]\n[ ] b\n[1] c",
            "- [ ] push\r\n- [x] pull",
            "Über\n日本\u{2028}c\n",
            "> [receipt 1 | person a]",
            "(a)",
        ] {
            check(plain, plain);
        }
        check("[receipt 1 | person alice]\n> Approved", "> [receipt 1 | person alice]\n> Approved");
        for end in ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            check(&format!("a{end}[receipt 1]{end}b"), &format!("a\n> [receipt 1]{end}b"));
        }
        check("a\n \u{200b}\u{a0}[receipt 1]", "a\n>  \u{200b}\u{a0}[receipt 1]");
        check("a\n［receipt 1]", "a\n> ［receipt 1]");
    }

    #[test]
    fn the_start_of_a_body_says_whose_a_receipt_is() {
        let initial = BodyStart { text: "[receipt 1] x".into(), author: None };
        assert_eq!(initial.shown(100), "> [receipt 1] x");
        assert_eq!(initial.shown(5), "> [re…");
        let author = Some(("polecat".to_owned(), Some(AuthorKind::Worker)));
        let first = BodyStart { text: "- moved\nb".into(), author };
        assert_eq!(first.shown(100), "[receipt 1 | worker polecat]\n> - moved\n> b");
    }
}
