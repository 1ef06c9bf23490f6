//! Messages name operations and parameters as an MCP caller uses them. This module rewrites those names as the
//! commands and options that a person types.
//!
//! A message mentions an operation only as a call and a parameter only by its full name:
//!
//! | in the message | at a terminal |
//! |---|---|
//! | `list_tasks()` | `tasktally list-tasks` |
//! | `get_batch(id="x", view="failures")` | `tasktally get-batch x --view failures` |
//! | `review_batch(id="x", decision)` | `tasktally review-batch x --decision DECISION` |
//! | `on_conflict="allow"` | `--on-conflict allow` |
//! | `request_key` | `--request-key` |
//! | `priority: 9 is …`, at the start of a message | `--priority: 9 is …` |
//! | `tasktally run --resume x`, a command that is no operation | the same with `--db`, where it is needed |
//!
//! Asking the person is for agents: the reader of a terminal is the person, so [`FOR_AGENTS`] is left out.
//!
//! Everything in quotes (`'…'` or `"…"`) is data and stays as it is.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use clap::{ArgAction, Command};

use super::mention_syntax::{Value, argument, quoted_length, value};
use super::shell::shell_word;
use crate::ops::{self, Entry};

/// The name of this program in a message.
const PROGRAM_NAME: &str = "tasktally";
/// Phrases for agents, and what stands in their place at a terminal.
const FOR_AGENTS: [(&str, &str); 2] = [(", ask the person, then ", ", then "), ("ask the person, then ", "")];

/// The parameters of all operations.
static PARAMETERS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let parameters = ops::ALL.iter().flat_map(|entry| {
        let command = (entry.command)(Command::new(entry.name));
        command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .map(|name| name.replace('-', "_"))
            .collect::<Vec<_>>()
    });
    parameters.collect()
});

/// The command for an operation, or the option for a parameter: `get_batch` is `get-batch`.
pub(crate) fn hyphenated(name: &str) -> String {
    name.replace('_', "-")
}

/// The message for a person who calls the program as `prefix`, such as `tasktally --db FILE`.
pub(crate) fn with_commands(message: &str, prefix: &str) -> String {
    let mut rewritten = String::with_capacity(message.len());
    let mut at = 0;
    while let Some(c) = message[at..].chars().next() {
        let before = message[..at].chars().next_back();
        let rest = &message[at..];
        let length = if matches!(c, '\'' | '"') && !before.is_some_and(char::is_alphanumeric) {
            let length = quoted_length(rest, c);
            rewritten.push_str(&rest[..length]);
            length
        } else if let Some((phrase, at_terminal)) =
            FOR_AGENTS.iter().find(|(phrase, _)| rest.starts_with(phrase))
        {
            rewritten.push_str(at_terminal);
            phrase.len()
        } else if c.is_ascii_lowercase() && starts_a_name(before) {
            let (text, length) = match program_name_length(&message[..at], rest, prefix) {
                Some(length) => (prefix.to_owned(), length),
                None => rewrite_name(rest, at == 0, prefix),
            };
            rewritten.push_str(&text);
            length
        } else {
            rewritten.push(c);
            c.len_utf8()
        };
        at += length;
    }
    rewritten
}

/// Whether a name can start after this character: not within a word, a path or the name of a setting.
fn starts_a_name(before: Option<char>) -> bool {
    !before.is_some_and(|c| c.is_alphanumeric() || "_-./$".contains(c))
}

/// How many bytes of the text are the name of this program in a command to copy: one with an option of its own, such as
/// `tasktally run --resume x`. `None` if the text before it ends with the rest of the prefix already.
fn program_name_length(before: &str, text: &str, prefix: &str) -> Option<usize> {
    let command = text.strip_prefix(PROGRAM_NAME)?.strip_prefix(' ')?;
    let (name, rest) = command.split_once(' ')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let called_by = prefix.split(PROGRAM_NAME).next().unwrap_or_default();
    let is_prefixed = !called_by.is_empty() && before.ends_with(called_by);
    (is_name && rest.starts_with("--") && !is_prefixed).then_some(PROGRAM_NAME.len())
}

/// The name that starts the text, rewritten, and how many bytes of the text that replaces.
fn rewrite_name(text: &str, starts_message: bool, prefix: &str) -> (String, usize) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mention = match ops::find_operation(name) {
        Some(entry) => command(entry, prefix, rest),
        None if PARAMETERS.contains(name) => option(name, rest, starts_message),
        None => None,
    };
    if let Some((text, length)) = mention {
        return (text, end + length);
    }
    // The arguments of a call that is not understood stay as they are.
    let arguments = if rest.starts_with('(') { rest.find(')').map_or(rest.len(), |end| end + 1) } else { 0 };
    (text[..end + arguments].to_owned(), end + arguments)
}

/// The option for a mentioned parameter, and how many bytes after its name belong to the mention.
fn option(name: &str, rest: &str, starts_message: bool) -> Option<(String, usize)> {
    let option = format!("--{}", hyphenated(name));
    if let Some((value, after)) = rest.strip_prefix('=').and_then(value) {
        let text = match value {
            Value::Given("true") => option,
            Value::Given(value) => format!("{option} {}", shell_word(value)),
            Value::Choice(words) => format!("{option} {words}"),
            Value::Open => format!("{option} {}", name.to_uppercase()),
        };
        return Some((text, rest.len() - after.len()));
    }
    let is_named = name.contains('_') && !rest.starts_with('(');
    let is_field = starts_message && rest.starts_with(": ");
    (is_named || is_field).then_some((option, 0))
}

/// The command for a call, and how many bytes after the operation's name belong to the call.
fn command(entry: &Entry, prefix: &str, after_name: &str) -> Option<(String, usize)> {
    let known = (entry.command)(Command::new(entry.name));
    let (mut first, mut others) = (None, String::new());
    let mut rest = after_name.strip_prefix('(')?;
    while !rest.starts_with(')') {
        let (name, given);
        (name, given, rest) = argument(rest)?;
        let name = hyphenated(name);
        let known = known.get_arguments().find(|known| known.get_long() == Some(&name))?;
        let shown = match given {
            Value::Given(value) => shell_word(value),
            Value::Choice(words) => words,
            Value::Open => name.to_uppercase().replace('-', "_"),
        };
        if name == entry.positional {
            first = Some(shown);
        } else if !matches!(known.get_action(), ArgAction::SetTrue) {
            others += &format!(" --{name} {shown}");
        } else if shown == "true" {
            others += &format!(" --{name}");
        }
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    let is_required = |arg: &clap::Arg| arg.get_long() == Some(entry.positional) && arg.is_required_set();
    if first.is_none() && known.get_arguments().any(is_required) {
        first = Some(entry.positional.to_uppercase());
    }
    let first = first.map(|first| format!(" {first}")).unwrap_or_default();
    let length = after_name.len() - rest.len() + 1;
    Some((format!("{prefix} {}{first}{others}", hyphenated(entry.name)), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(with_commands(message, "tasktally"), expected);
    }

    #[test]
    fn a_call_becomes_a_command() {
        check(
            "paused; control_batch(id=\"ab12\", action=\"resume\") continues it",
            "paused; tasktally control-batch ab12 --action resume continues it",
        );
        check("reset_stalled_tasks(dry_run=true)", "tasktally reset-stalled-tasks --dry-run");
        check(
            "get_batch(id=\"x\", view=\"failures\"), then control_batch(id=\"x\", action=\"retry\")",
            "tasktally get-batch x --view failures, then tasktally control-batch x --action retry",
        );
        check("update_task(body=\"- two words\", id=K)", "tasktally update-task K --body '- two words'");
        check("(get_task(id=\"é's\")…", r"(tasktally get-task 'é'\''s'…");
        check("list_tasks() shows ids", "tasktally list-tasks shows ids");
        check(
            "update_task(id=K, outcome=\"done\"|\"failed\", category=...)",
            "tasktally update-task K --outcome done|failed --category CATEGORY",
        );
    }

    #[test]
    fn a_command_to_copy_names_the_store() {
        #[track_caller]
        fn check(prefix: &str, message: &str, expected: &str) {
            assert_eq!(with_commands(message, prefix), expected);
        }
        let message = "get_batch(id=\"x\"), then tasktally run --resume x";
        check("tasktally", message, "tasktally get-batch x, then tasktally run --resume x");
        let prefix = "tasktally --db '/my store'";
        check(prefix, message, &format!("{prefix} get-batch x, then {prefix} run --resume x"));
        for text in [
            &format!("to continue: {prefix} run --resume x"),
            "it was not created by tasktally run, so --resume is refused",
            "'tasktally run --resume x'",
            "/bin/tasktally run --resume x",
        ] {
            check(prefix, text, text);
        }
        let prefix = "npx -y tasktally";
        for text in ["tasktally run --resume x", "npx -y tasktally run --resume x"] {
            check(prefix, text, "npx -y tasktally run --resume x");
        }
    }

    #[test]
    fn arguments_that_a_call_leaves_open_are_named() {
        check(
            "review_batch(decision=\"redo\") opens them",
            "tasktally review-batch ID --decision redo opens them",
        );
        check("wait_batch(id) returns one", "tasktally wait-batch ID returns one");
        check("get_batch(view=\"review\")", "tasktally get-batch --view review");
    }

    #[test]
    fn a_parameter_becomes_an_option() {
        check("on_conflict=\"allow\" ignores resources", "--on-conflict allow ignores resources");
        check("leave out request_key, or change it", "leave out --request-key, or change it");
        check("limit=0 lists all; or force=true.", "--limit 0 lists all; or --force.");
        check("priority: 9 is more than 4", "--priority: 9 is more than 4");
        check("items_after=... continues", "--items-after ITEMS_AFTER continues");
        check("(key=… names another field)", "(--key KEY names another field)");
    }

    #[test]
    fn the_person_at_the_terminal_is_not_to_be_asked() {
        check(
            "ask the person, then control_batch(id=\"a\", action=\"resume\")",
            "tasktally control-batch a --action resume",
        );
        check(
            "get_batch(id=\"a\"), ask the person, then review_batch(id=\"a\")",
            "tasktally get-batch a, then tasktally review-batch a",
        );
        check("'ask the person, then go'", "'ask the person, then go'");
    }

    #[test]
    fn quoted_data_stays() {
        for text in [
            "title 'get_task(id=\"a\")' is taken",
            "'it's limit=5' and 'request_key'",
            "\"request_key\" is no field",
            "the workers' tasks don't end",
        ] {
            check(text, text);
        }
        check("the task's 'limit=1' is not limit=1", "the task's 'limit=1' is not --limit 1");
        check("don't use force=true, it isn't safe", "don't use --force, it isn't safe");
    }

    #[test]
    fn other_text_stays() {
        for text in [
            "then resume or cancel the batch",
            "my_get_task(id=\"a\")",
            "get_task(nothing=\"a\")",
            "get_task(id=\"a",
            "get_task(",
            "get_task(Id)",
            "worker.mail.max_parallel = 65: out of range; limits.max_parallel too",
            "the priority: high",
            "",
        ] {
            check(text, text);
        }
    }
}
