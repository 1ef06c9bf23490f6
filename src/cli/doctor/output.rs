//! The findings as text for a person, and as JSON for a script.

use serde_json::{Value, json};

use super::finding::{Finding, Level};
use crate::terminal::{escape_hidden, wrap_words};

/// The most columns of a line.
const WIDTH: usize = 80;
/// The column at which the message of a finding starts.
const INDENT: usize = 23;

/// A finding with the name of its check.
pub(super) type Named<'a> = (&'a str, Finding);

/// The number of problems and warnings, in a sentence.
pub(super) fn summary(all: &[Named<'_>]) -> String {
    let count = |level| all.iter().filter(|(_, finding)| finding.level == level).count();
    let some = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    match (problems, warnings) {
        (0, 0) => "no problems found".to_owned(),
        (0, _) => some(warnings, "warning"),
        (_, 0) => some(problems, "problem"),
        _ => format!("{}, {}", some(problems, "problem"), some(warnings, "warning")),
    }
}

/// The findings for a script.
pub(super) fn as_json(success: bool, message: &str, store: &str, all: &[Named<'_>]) -> Value {
    let rows: Vec<Value> = all
        .iter()
        .map(|(check, Finding { level, message, fix })| {
            json!({ "check": check, "level": level, "message": message, "fix": fix })
        })
        .collect();
    json!({ "success": success, "message": message, "store": store, "findings": rows })
}

/// The findings for a person.
pub(super) fn as_text(all: &[Named<'_>], colour: bool) -> String {
    let mut lines = Vec::new();
    for (check, finding) in all {
        let level = format!("{:<9}", finding.level.as_str());
        let level = if colour { format!("\x1b[{}m{level}\x1b[0m", code(finding.level)) } else { level };
        let mut text = wrap_words(&escape_hidden(&finding.message), WIDTH - INDENT).into_iter();
        let first = text.next().unwrap_or_default();
        lines.push(format!("{level}{check:<width$}{first}", width = INDENT - 9));
        lines.extend(text.map(|line| format!("{:INDENT$}{line}", "")));
        if let Some(fix) = &finding.fix {
            // On one line, however long, so that it can be copied.
            let fix = format!("$ {}", escape_hidden(fix));
            lines.push(if colour { format!("  \x1b[1m{fix}\x1b[0m") } else { format!("  {fix}") });
        }
    }
    lines.join("\n")
}

/// The colour's code in an SGR escape sequence.
fn code(level: Level) -> &'static str {
    match level {
        Level::Ok => "32",
        Level::Warning => "33",
        Level::Problem => "1;31",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Named<'static>> {
        vec![
            ("file", Finding::ok("/tmp/tasktally.db can be read")),
            (
                "WAL",
                Finding::warning("up to 84 MiB are not checkpointed yet, and no process has the store open")
                    .with_fix("tasktally list-tasks"),
            ),
            ("integrity", Finding::problem("a \u{202e}forged\u{1b}[31m line")),
        ]
    }

    #[test]
    fn messages_are_wrapped_at_80_columns_and_commands_are_not() {
        let text = as_text(&findings(), false);
        assert_eq!(
            text,
            "ok       file          /tmp/tasktally.db can be read
warning  WAL           up to 84 MiB are not checkpointed yet, and no process has
                       the store open
  $ tasktally list-tasks
problem  integrity     a \\u{202e}forged\\u{1b}[31m line"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn colours_change_only_colours() {
        let coloured = as_text(&findings(), true);
        assert!(coloured.contains("\u{1b}[1;31mproblem"), "{coloured}");
        let codes = ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m"];
        let plain = codes.iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, as_text(&findings(), false));
    }

    #[test]
    fn the_summary_counts() {
        assert_eq!(summary(&findings()), "1 problem, 1 warning");
        assert_eq!(summary(&findings()[..2]), "1 warning");
        assert_eq!(summary(&findings()[..1]), "no problems found");
    }
}
