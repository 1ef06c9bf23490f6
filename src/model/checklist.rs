//! Checkboxes of a task. The boxes are those of its own text: a `- [ ]` that a worker appends is only text, so no
//! worker can keep a task from being completed. A later `- [x]` line ticks a box, since a body is append-only.

/// What a line of a body says about a checkbox.
enum ChecklistLine<'a> {
    /// An open box with this text.
    Box(&'a str),
    /// A tick with this text.
    Tick(&'a str),
}

/// The texts of the boxes in a task's `own_text` that are still open, in order. `receipts` can only tick boxes.
pub fn open_checkboxes<'a>(own_text: &'a str, receipts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut open: Vec<&str> = Vec::new();
    for line in own_text.lines().filter_map(parse) {
        match line {
            ChecklistLine::Box(text) => open.push(text),
            ChecklistLine::Tick(text) => tick(&mut open, text),
        }
    }
    for line in receipts.into_iter().flat_map(str::lines) {
        if open.is_empty() {
            break;
        }
        if let Some(ChecklistLine::Tick(text)) = parse(line) {
            tick(&mut open, text);
        }
    }
    open
}

/// Whether the text contains an open checkbox. Tasks without one need not be read when they are completed.
pub fn has_checkbox(text: &str) -> bool {
    text.contains("- [ ]")
}

fn parse(line: &str) -> Option<ChecklistLine<'_>> {
    let line = line.trim_start();
    if let Some(text) = line.strip_prefix("- [ ]") {
        return Some(ChecklistLine::Box(text.trim()));
    }
    let rest = line.strip_prefix(['-', '*', '+'])?.trim_start();
    let text = rest.strip_prefix("[x]").or_else(|| rest.strip_prefix("[X]"))?;
    Some(ChecklistLine::Tick(text.trim()))
}

/// Closes the box that the tick's text names: the one with exactly this text, or else the longest one that the
/// tick's text begins with.
fn tick(open: &mut Vec<&str>, text: &str) {
    let text = comparable(text);
    let closeness = |candidate: &str| {
        let name = comparable(candidate);
        let rest = text.strip_prefix(&name)?;
        // `- [x] testing` does not tick `test`.
        let names_it = rest.is_empty()
            || (!name.is_empty() && rest.starts_with(|next: char| !next.is_alphanumeric() && next != '_'));
        names_it.then_some((rest.is_empty(), name.len()))
    };
    let best = open.iter().enumerate().filter_map(|(at, candidate)| Some((closeness(candidate)?, at)));
    // Of boxes with the same text the first one is ticked.
    let best = best.max_by_key(|(closeness, at)| (*closeness, std::cmp::Reverse(*at)));
    if let Some((_, at)) = best {
        open.remove(at);
    }
}

/// A text without differences that a person does not see as such: case, repeated spaces, punctuation at the end.
fn comparable(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    words.trim_end_matches(['.', ':', ';', ',', '!']).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkbox_stays_open_until_a_later_line_ticks_it() {
        fn check(own_text: &str, receipts: &[&str], open: &[&str]) {
            assert_eq!(open_checkboxes(own_text, receipts.iter().copied()), open, "{own_text} {receipts:?}");
        }
        check("no boxes", &[], &[]);
        check("- [ ] push\n  - [ ] test", &[], &["push", "test"]);
        check("- [ ] push\n- [ ] test", &["- [x] test"], &["push"]);
        check("- [x] push\n- [ ] push", &[], &["push"]);
        check("- [ ] a\n- [ ] a", &["- [X] a"], &["a"]);
        check("- [ ] push\n- [x] push", &[], &[]);
    }

    #[test]
    fn only_the_own_text_has_boxes() {
        assert!(open_checkboxes("Read the mail", ["- [ ] follow up"]).is_empty());
        assert_eq!(open_checkboxes("- [ ] read", ["- [ ] follow up"]), ["read"]);
    }

    #[test]
    fn a_tick_may_say_more_than_the_box() {
        fn check(boxes: &[&str], tick: &str, open: &[&str]) {
            let own_text: String = boxes.iter().map(|text| format!("- [ ] {text}\n")).collect();
            assert_eq!(open_checkboxes(&own_text, [tick]), open, "{boxes:?} {tick}");
        }
        check(&["summary"], "- [x] summary: three mails need a reply", &[]);
        check(&["summary"], "done:\n  * [x] Summary (see below)", &[]);
        check(&["Run the tests."], "- [x] run the  tests, all pass", &[]);
        check(&["write summary:"], "- [x] Write summary - 3 lines", &[]);
        check(&["test"], "- [x] testing has begun", &["test"]);
        check(&["test"], "- [x] the test", &["test"]);
        check(&["test"], "I ticked - [x] test", &["test"]);
        // The box that is meant most closely is ticked.
        check(&["test", "test the server"], "- [x] test the server: green", &["test"]);
        check(&["test the server", "test"], "- [x] test", &["test the server"]);
        // An empty box has no text to begin with.
        check(&[""], "- [x] anything", &[""]);
        check(&[""], "- [x]", &[]);
        check(&["数据库"], "- [x] 数据库：完成", &[]);
    }
}
