//! How the findings look: on a terminal, and to a script.

use std::io::IsTerminal as _;

use serde_json::{Value, json};

use super::finding::{Finding, Level};
use crate::cli::render::safe;

/// How wide a line is at most, in columns.
const WIDTH: usize = 80;
/// Where the text of a finding begins.
const INDENT: usize = 23;

/// Findings with the name of the check that they are of.
pub(super) type Named<'a> = (&'a str, Finding);

/// How many there are of each level, in a sentence.
pub(super) fn summary(all: &[Named<'_>]) -> String {
    let count = |level| all.iter().filter(|(_, finding)| finding.level == level).count();
    let some = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    match (problems, warnings) {
        (0, 0) => "all is well".to_owned(),
        (0, _) => some(warnings, "warning"),
        (_, 0) => some(problems, "problem"),
        _ => format!("{}, {}", some(problems, "problem"), some(warnings, "warning")),
    }
}

/// For a script.
pub(super) fn as_json(success: bool, message: &str, store: &str, all: &[Named<'_>]) -> Value {
    let rows: Vec<Value> = all
        .iter()
        .map(|(check, Finding { level, message, mend })| {
            json!({ "check": check, "level": level, "message": message, "mend": mend })
        })
        .collect();
    json!({ "success": success, "message": message, "store": store, "findings": rows })
}

/// Whether colours are shown: on a terminal that has them, where nobody asked for none.
pub(super) fn in_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && !is_set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// For a person.
pub(super) fn as_text(all: &[Named<'_>], colour: bool) -> String {
    let mut lines = Vec::new();
    for (check, finding) in all {
        let level = format!("{:<9}", finding.level.as_str());
        let level = if colour { format!("\x1b[{}m{level}\x1b[0m", code(finding.level)) } else { level };
        let mut text = wrapped(&safe(&finding.message), WIDTH - INDENT).into_iter();
        lines.push(format!("{level}{check:<width$}{}", text.next().unwrap_or_default(), width = INDENT - 9));
        lines.extend(text.map(|line| format!("{:INDENT$}{line}", "")));
        if let Some(mend) = &finding.mend {
            // In one line and at its beginning, however long: it is to be copied.
            let mend = format!("$ {}", safe(mend));
            lines.push(if colour { format!("  \x1b[1m{mend}\x1b[0m") } else { format!("  {mend}") });
        }
    }
    lines.join("\n")
}

fn code(level: Level) -> &'static str {
    match level {
        Level::Ok => "32",
        Level::Warning => "33",
        Level::Problem => "1;31",
    }
}

/// Text in lines of so many columns; a word that is longer has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr as _;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Vec<Named<'static>> {
        vec![
            ("file", Finding::ok("/tmp/tasktally.db can be read")),
            (
                "log",
                Finding::warning("84 MiB wait to be folded into the store; nobody has it open at all")
                    .mend("tasktally list-tasks"),
            ),
            ("integrity", Finding::problem("a \u{202e}forged\u{1b}[31m line")),
        ]
    }

    #[test]
    fn findings_keep_to_80_columns_and_commands_stand_in_one_line() {
        let text = as_text(&found(), false);
        assert_eq!(
            text,
            "ok       file          /tmp/tasktally.db can be read
warning  log           84 MiB wait to be folded into the store; nobody has it
                       open at all
  $ tasktally list-tasks
problem  integrity     a \\u{202e}forged\\u{1b}[31m line"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = as_text(&found(), true);
        assert!(coloured.contains("\u{1b}[1;31mproblem"), "{coloured}");
        let plain = ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m"];
        let plain = plain.iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, as_text(&found(), false));
    }

    #[test]
    fn the_summary_counts() {
        assert_eq!(summary(&found()), "1 problem, 1 warning");
        assert_eq!(summary(&found()[..2]), "1 warning");
        assert_eq!(summary(&found()[..1]), "all is well");
    }
}
