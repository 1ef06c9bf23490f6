//! Which files of a folder are items.

use fast_glob::{glob_match, validate};

use super::roots::quoted_path;
use crate::error::{Error, Result};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 500;

/// A pattern over the paths within a folder: `*` stays within a name, `**` does not.
pub(super) struct Glob(String);

impl Glob {
    /// Reads a pattern.
    pub(super) fn parse(pattern: &str) -> Result<Self> {
        let refused = |reason: String| {
            Error::invalid(format!(
                "glob: {} {reason}; write *.eml for the folder itself, **/*.eml for its subfolders, too",
                quoted_path(pattern)
            ))
        };
        if pattern.trim().is_empty() {
            return Err(refused("is empty".to_owned()));
        }
        if pattern.len() > MAX_PATTERN {
            return Err(refused(format!("has {} bytes, at most {MAX_PATTERN}", pattern.len())));
        }
        // A leading `!` would negate the pattern for the library; here it is a character of the name.
        let pattern = if pattern.starts_with('!') { format!("\\{pattern}") } else { pattern.to_owned() };
        validate(&pattern).map_err(|error| refused(format!("is not a valid pattern ({error})")))?;
        Ok(Glob(pattern))
    }

    /// Whether a file is chosen, by its path within the folder.
    pub(super) fn chooses(&self, path: &str) -> bool {
        glob_match(&self.0, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_name_and_two_do_not() {
        let check = |pattern: &str, path: &str, chosen: bool| {
            assert_eq!(Glob::parse(pattern).unwrap().chooses(path), chosen, "{pattern} of {path}");
        };
        check("*.eml", "a.eml", true);
        check("*.eml", "sub/a.eml", false);
        check("**/*.eml", "a.eml", true);
        check("**/*.eml", "sub/deeper/a.eml", true);
        check("**/*.eml", "a.eml.txt", false);
        check("sub/*", "sub/a", true);
        check("sub/**", "sub/b/a", true);
        check("*.{eml,msg}", "a.msg", true);
        check("[ab]?.txt", "b1.txt", true);
        check("*.EML", "a.eml", false);
        check("!a*", "!a.eml", true);
        check("!a*", "b.eml", false);
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_an_example() {
        for (pattern, because) in [
            ("", "is empty"),
            ("a[", "\"a[\" is not a valid pattern"),
            (&"a".repeat(501), "has 501 bytes, at most 500"),
        ] {
            let refused = Glob::parse(pattern).err().unwrap().to_string();
            assert!(refused.contains(because) && refused.contains("**/*.eml"), "{refused}");
        }
    }
}
