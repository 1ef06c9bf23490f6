//! Checkboxes in a body. A body is append-only, so a later `- [x]` line with the same text closes an earlier `- [ ]`.

/// The texts of open checkboxes, in order.
pub fn open_checkboxes<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut open: Vec<&str> = Vec::new();
    for line in texts.into_iter().flat_map(str::lines) {
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("- [ ]") {
            open.push(text.trim());
        } else if let Some(text) = line.strip_prefix("- [x]").or_else(|| line.strip_prefix("- [X]")) {
            let text = text.trim();
            if let Some(at) = open.iter().position(|&candidate| candidate == text) {
                open.remove(at);
            }
        }
    }
    open
}

/// Whether the text contains an open checkbox. Tasks without one need not be read when they are completed.
pub fn has_checkbox(text: &str) -> bool {
    text.contains("- [ ]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkbox_stays_open_until_a_later_line_closes_it() {
        fn check(texts: &[&str], open: &[&str]) {
            assert_eq!(open_checkboxes(texts.iter().copied()), open, "{texts:?}");
        }
        check(&["no boxes"], &[]);
        check(&["- [ ] push\n  - [ ] test"], &["push", "test"]);
        check(&["- [ ] push\n- [ ] test", "- [x] test"], &["push"]);
        check(&["- [x] push", "- [ ] push"], &["push"]);
        check(&["- [ ] a\n- [ ] a", "- [X] a"], &["a"]);
    }
}
