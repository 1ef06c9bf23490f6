//! How a CSV file is written.

use std::fmt;
use std::str::FromStr;

use crate::model::text::excerpt;

/// The delimiter of a CSV file, as a caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(pub(super) u8);

impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            _ if matches!(text, "tab" | "\\t") => Ok(Delimiter(b'\t')),
            [byte] if *byte == b'\t' || (byte.is_ascii_graphic() || *byte == b' ') && *byte != b'"' => {
                Ok(Delimiter(*byte))
            }
            _ => Err(format!(
                "'{}' is no delimiter; it is one ASCII character other than a quote, or \"tab\"",
                excerpt(text)
            )),
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == b'\t' { f.write_str("tab") } else { write!(f, "{}", char::from(self.0)) }
    }
}

/// How a CSV file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::items) struct Dialect {
    pub(super) delimiter: u8,
    /// Whether a space follows each delimiter, as a matter of layout.
    pub(super) has_spaces: bool,
    /// The length of a first line `sep=;`, which is not part of the table.
    pub(in crate::items) skipped: usize,
}

impl Dialect {
    /// A dialect without further features.
    pub(super) fn with_delimiter(delimiter: u8) -> Self {
        Dialect { delimiter, has_spaces: false, skipped: 0 }
    }

    /// The line on which the table begins.
    pub(super) fn first_line(self) -> u64 {
        1 + u64::from(self.skipped > 0)
    }

    /// The delimiter's name, for a sentence.
    pub(super) fn delimiter_name(self) -> String {
        match self.delimiter {
            b',' => "comma".to_owned(),
            b';' => "semicolon".to_owned(),
            b'\t' => "tab".to_owned(),
            other => format!("'{}'", char::from(other)),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CSV with the delimiter {}", self.delimiter_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_character_or_the_word_tab() {
        for (text, shown) in
            [(";", ";"), ("tab", "tab"), ("\\t", "tab"), ("\t", "tab"), ("|", "|"), (" ", " ")]
        {
            assert_eq!(
                text.parse::<Delimiter>().map(|delimiter| delimiter.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in ["", "\"", ";;", "é", "\n"] {
            assert!(text.parse::<Delimiter>().unwrap_err().contains("one ASCII character"), "{text}");
        }
    }
}
