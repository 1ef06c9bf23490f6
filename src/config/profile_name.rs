//! The name of a profile.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::model::text::excerpt;

/// The name by which agents request a profile: 1 to 64 letters, digits, `-` or `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProfileName(String);

impl ProfileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ProfileName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_valid = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if is_valid {
            Ok(ProfileName(text.to_owned()))
        } else {
            Err(format!(
                "'{}' is not a valid profile name: 1 to 64 letters, digits, '-' or '_', starting with a letter or digit",
                excerpt(text)
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_word() {
        for name in ["claude", "a", "7-b_C", &"x".repeat(64)] {
            assert_eq!(name.parse::<ProfileName>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        for name in ["", "-x", "_x", "a b", "a/b", "../x", "a.b", "é", &"x".repeat(65)] {
            assert!(name.parse::<ProfileName>().unwrap_err().contains("1 to 64"), "{name}");
        }
    }
}
