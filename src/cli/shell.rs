//! Commands for a person to copy into a shell.

use std::path::Path;

use super::open::store_path;

/// A word of a shell command, quoted where the shell would read it as something else.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.,:=@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A path as a word of a shell command; one that begins like an option, or counts from here, in full.
pub(super) fn path_word(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    word(&path.to_string_lossy())
}

/// What `tasktally` is called as over a store: with `--db`, unless it is the one that is found without.
pub(super) fn command_prefix(store: &Path) -> String {
    let is_default = store_path(None).is_ok_and(|default| default == store);
    if is_default && std::env::var_os("TASKTALLY_DB").is_none() {
        return "tasktally".to_owned();
    }
    format!("tasktally --db {}", path_word(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_more_into_it() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(word(text), expected);
        }
        check("/home/me/tasktally.db", "/home/me/tasktally.db");
        check("/home/me/my files", "'/home/me/my files'");
        check("$(rm -rf ~)", "'$(rm -rf ~)'");
        check("it's", r"'it'\''s'");
        check("", "''");
    }
}
