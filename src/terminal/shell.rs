//! Words of shell commands that a person can copy.

use std::path::Path;

/// The text as one word of a shell command, quoted if the shell would read it differently otherwise.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.,:=@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The path as one word of a shell command. It is made absolute, so that it neither depends on the current
/// directory nor starts like an option.
pub(crate) fn shell_path(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    shell_word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_if_the_shell_would_interpret_it() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(shell_word(text), expected);
        }
        check("/home/me/tasktally.db", "/home/me/tasktally.db");
        check("/home/me/my files", "'/home/me/my files'");
        check("$(rm -rf ~)", "'$(rm -rf ~)'");
        check("it's", r"'it'\''s'");
        check("", "''");
    }
}
