//! Which characters of a text a person cannot see: the one rule for terminals, reports, files and forms.
//!
//! Text of agents may contain characters that have no shape. They can carry instructions that only a model reads, or make
//! two different names look alike. They are shown escaped, except where writing needs them.

/// Whether a character is a control character or changes the direction of text. Requests that contain one where it would
/// matter are refused; see [`super::text`]. Other characters that are hidden are stored as they are.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The characters of a text, each with whether it is hidden.
pub fn with_hidden(text: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    let mut before = None;
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        let c = chars.next()?;
        let after = chars.peek().copied();
        let is_hidden = is_invisible(c) && !is_needed(before, c, after)
            || is_special_space(c) && !is_usual_space(before, c, after);
        before = Some(c);
        Some((c, is_hidden))
    })
}

/// The text with hidden characters escaped, so that it can neither move the cursor nor contain what a person does not see.
/// Line feeds and tabs stay.
pub fn escape_hidden(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (c, is_hidden) in with_hidden(text) {
        if is_hidden && !matches!(c, '\n' | '\t') {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Whether a character has no shape of its own: control characters, line and paragraph separators, and what Unicode calls
/// default ignorable.
fn is_invisible(c: char) -> bool {
    is_control(c)
        || matches!(
            c,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{2029}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

/// Whether a character looks like a space and is none: a person takes two names that differ in it for the same.
fn is_special_space(c: char) -> bool {
    matches!(
        c,
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{2800}' | '\u{3000}'
    )
}

/// Whether a special space stands where writing has one: a no-break or thin space after a number or at a punctuation mark, an
/// ideographic space at an ideographic character, a blank between Braille patterns.
fn is_usual_space(before: Option<char>, c: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    let has = |check: fn(char) -> bool| check(before) || check(after);
    let is_between = !before.is_whitespace() && !after.is_whitespace();
    match c {
        // Not before a digit: "worker 1" would have a namesake.
        '\u{A0}' | '\u{202F}' | '\u{2009}' => is_between && (before.is_numeric() || has(is_typographic_mark)),
        '\u{3000}' => is_between && has(is_ideographic),
        '\u{2800}' => matches!(before, '\u{2801}'..='\u{28FF}') && matches!(after, '\u{2801}'..='\u{28FF}'),
        _ => false,
    }
}

/// A mark or a sign that a no-break space keeps on the line of its word.
fn is_typographic_mark(c: char) -> bool {
    matches!(
        c,
        '.' | ','
            | ':'
            | ';'
            | '!'
            | '?'
            | '%'
            | '«'
            | '»'
            | '‹'
            | '›'
            | '–'
            | '—'
            | '€'
            | '$'
            | '£'
            | '§'
            | '°'
            | '№'
    )
}

/// Whether a character belongs to Chinese, Japanese or Korean writing, full-width forms included.
fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{2FFF}' | '\u{3001}'..='\u{30FF}' | '\u{3100}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}')
}

/// Whether writing needs an invisible character between these neighbours: a joiner in a script whose letters join or in an
/// emoji, or a variation selector that chooses between emoji and text.
fn is_needed(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match c {
        '\u{200C}' | '\u{200D}' if joins(before) => after.is_some_and(joins),
        '\u{200D}' => is_emoji_part(before) && after.is_some_and(is_emoji),
        '\u{FE0E}' | '\u{FE0F}' => {
            let is_key_cap = matches!(before, '0'..='9' | '#' | '*')
                && matches!(after, Some('\u{20E3}'))
                && c == '\u{FE0F}';
            is_emoji(before) || is_key_cap
        }
        _ => false,
    }
}

/// Whether a letter belongs to a script with joiners: Arabic and its relatives, the scripts of India, South-East Asia and
/// Mongolia.
fn joins(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{8FF}' | '\u{900}'..='\u{DFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17B3}'
        | '\u{17B6}'..='\u{17FF}' | '\u{1820}'..='\u{18AF}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// Whether a character can be shown as an emoji.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{A9}' | '\u{AE}' | '\u{203C}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2BFF}'
        | '\u{3030}' | '\u{303D}' | '\u{3297}' | '\u{3299}' | '\u{1F000}'..='\u{1FAFF}')
}

/// Whether a character is an emoji or its variation selector.
fn is_emoji_part(c: char) -> bool {
    is_emoji(c) || c == '\u{FE0F}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_without_a_shape_are_escaped() {
        let check = |text: &str, escaped: &str| assert_eq!(escape_hidden(text), escaped, "{text:?}");
        check("two\nlines\tand a tab", "two\nlines\tand a tab");
        check("\u{1b}[2Jx\r", "\\u{1b}[2Jx\\u{d}");
        check("\u{202e}evil", "\\u{202e}evil");
        check("a\u{e0041}\u{e007f}b", "a\\u{e0041}\\u{e007f}b");
        check("a\u{200b}b\u{2060}c\u{feff}d\u{ad}", "a\\u{200b}b\\u{2060}c\\u{feff}d\\u{ad}");
        check("one\u{2028}two\u{2029}", "one\\u{2028}two\\u{2029}");
        check("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}");
        check("a\u{fe01}b\u{e0100}c\u{fe0f}", "a\\u{fe01}b\\u{e0100}c\\u{fe0f}");
        check("a\u{200d}b\u{200c}c", "a\\u{200d}b\\u{200c}c");
        check("\u{3164}\u{115f}\u{fff9}", "\\u{3164}\\u{115f}\\u{fff9}");
        // Spaces where no writing has them: in a name, at its end, in a row.
        check("claude\u{a0}code\u{2800}", "claude\\u{a0}code\\u{2800}");
        check("a\u{2003}b\u{3000}c\u{202f}d", "a\\u{2003}b\\u{3000}c\\u{202f}d");
        check("x\u{a0}\u{a0}1 worker\u{a0}1", "x\\u{a0}\\u{a0}1 worker\\u{a0}1");
    }

    #[test]
    fn what_writing_needs_stays() {
        for text in [
            "עברית 日本語 é e\u{301}",
            // Persian and Hindi with joiners.
            "می\u{200c}خواهم",
            "क\u{94d}\u{200d}ष",
            // A family, a heart, a key cap, a rainbow flag.
            // French and German, Japanese, Braille.
            "Total\u{a0}: 30\u{202f}000\u{a0}€, «\u{a0}oui\u{a0}» z.\u{2009}B.",
            "東京\u{3000}都",
            "\u{2811}\u{2800}\u{2803}",
            "👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🏳\u{fe0f}\u{200d}🌈",
        ] {
            assert_eq!(escape_hidden(text), text);
        }
        // A second selector or joiner in a row is not needed.
        assert_eq!(escape_hidden("❤\u{fe0f}\u{fe0f}"), "❤\u{fe0f}\\u{fe0f}");
        assert_eq!(escape_hidden("می\u{200c}\u{200c}خ"), "می\\u{200c}\\u{200c}خ");
    }
}
