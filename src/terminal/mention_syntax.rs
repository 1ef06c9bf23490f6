//! The syntax in which messages mention operations and parameters.

/// How many bytes a quotation takes. A quotation mark that is never closed is an apostrophe.
pub(super) fn quoted_length(text: &str, mark: char) -> usize {
    let closes = |at: &usize| !text[at + 1..].starts_with(char::is_alphanumeric);
    let end = text.match_indices(mark).map(|(at, _)| at).skip(1).find(closes);
    end.map_or(1, |end| end + 1)
}

/// The value of a mentioned parameter.
pub(super) enum Value<'a> {
    /// Given as it is.
    Given(&'a str),
    /// One of several: `done|failed`.
    Choice(String),
    /// Left open: the name alone, `...` or `…`.
    Open,
}

/// An argument's name, its value, and what comes after it.
pub(super) fn argument(text: &str) -> Option<(&str, Value<'_>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
    let (name, rest) = text.split_at(end);
    let (value, rest) = match rest.strip_prefix('=') {
        Some(rest) => value(rest)?,
        None => (Value::Open, rest),
    };
    rest.starts_with([',', ')']).then_some((name, value, rest))
}

/// The value that starts the text, and what comes after it.
pub(super) fn value(text: &str) -> Option<(Value<'_>, &str)> {
    if let Some(rest) = text.strip_prefix("...").or_else(|| text.strip_prefix('…')) {
        return Some((Value::Open, rest));
    }
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(text.len());
        // A full stop ends the sentence.
        let word = text[..end].trim_end_matches('.');
        return (!word.is_empty()).then(|| (Value::Given(word), &text[word.len()..]));
    };
    let (first, mut rest) = quoted.split_once('"')?;
    let mut words = first.to_owned();
    while let Some(next) = rest.strip_prefix("|\"") {
        let word;
        (word, rest) = next.split_once('"')?;
        words = format!("{words}|{word}");
    }
    let is_choice = words.len() > first.len();
    Some((if is_choice { Value::Choice(words) } else { Value::Given(first) }, rest))
}
