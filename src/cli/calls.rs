//! Calls of tools that a message advises, as the commands that a person would type.

use clap::{ArgAction, Command};

use super::args::hyphens;
use super::shell::word;
use crate::ops::{self, Entry};

/// A text in which every call of a tool is a command of `tasktally`, as it is called over this store. What
/// could not be typed is left as it is.
pub(super) fn as_commands(text: &str, prefix: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, entry)) = next_call(rest) {
        let arguments = &rest[at + entry.name.len()..];
        let (command, length) = match command(entry, prefix, arguments) {
            Some((command, length)) => (command, entry.name.len() + length),
            None => (entry.name.to_owned(), entry.name.len()),
        };
        told.push_str(&rest[..at]);
        told.push_str(&command);
        rest = &rest[at + length..];
    }
    told + rest
}

/// The first call, and where its name begins.
fn next_call(text: &str) -> Option<(usize, &'static Entry)> {
    let calls = ops::ALL.iter().filter_map(|entry| {
        let at = text.match_indices(entry.name).map(|(at, _)| at).find(|at| {
            let is_whole = !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            is_whole && text[at + entry.name.len()..].starts_with('(')
        })?;
        Some((at, entry))
    });
    calls.min_by_key(|(at, _)| *at)
}

/// The command for a call whose arguments begin a text, and how many bytes these are.
fn command(entry: &Entry, prefix: &str, arguments: &str) -> Option<(String, usize)> {
    let known = (entry.command)(Command::new(entry.name));
    let (mut first, mut others) = (None, String::new());
    let mut rest = arguments.strip_prefix('(')?;
    while !rest.starts_with(')') {
        let (name, value);
        (name, value, rest) = argument(rest)?;
        let name = hyphens(name);
        let known = known.get_arguments().find(|known| known.get_long() == Some(&name))?;
        let value = word(&value.map_or(name.to_uppercase(), str::to_owned));
        if name == entry.positional {
            first = Some(value);
        } else if !matches!(known.get_action(), ArgAction::SetTrue) {
            others += &format!(" --{name} {value}");
        } else if value == "true" {
            others += &format!(" --{name}");
        }
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    let is_required =
        |first: &clap::Arg| first.get_long() == Some(entry.positional) && first.is_required_set();
    if first.is_none() && known.get_arguments().any(is_required) {
        first = Some(entry.positional.to_uppercase());
    }
    let first = first.map(|first| format!(" {first}")).unwrap_or_default();
    let length = arguments.len() - rest.len() + 1;
    Some((format!("{prefix} {}{first}{others}", hyphens(entry.name)), length))
}

/// An argument's name, its value where it has one, and what comes after it.
fn argument(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=') else {
        return (rest.starts_with([',', ')'])).then_some((name, None, rest));
    };
    let (value, rest) = match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => value.split_at(value.find([',', ')'])?),
    };
    // Such as a choice between two values.
    rest.starts_with([',', ')']).then_some((name, Some(value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(as_commands(text, "tasktally"), expected);
    }

    #[test]
    fn a_call_is_told_as_its_command() {
        check(
            "paused; control_batch(id=\"ab12\", action=\"resume\") goes on",
            "paused; tasktally control-batch ab12 --action resume goes on",
        );
        check("reset_stalled_tasks(dry_run=true)", "tasktally reset-stalled-tasks --dry-run");
        check(
            "get_batch(id=\"x\", view=\"failures\"), then control_batch(id=\"x\", action=\"retry\")",
            "tasktally get-batch x --view failures, then tasktally control-batch x --action retry",
        );
        check("update_task(body=\"- two words\", id=K)", "tasktally update-task K --body '- two words'");
        check("(get_task(id=\"é's\")…", r"(tasktally get-task 'é'\''s'…");
    }

    #[test]
    fn what_a_command_needs_and_a_call_leaves_open_is_named() {
        check(
            "review_batch(decision=\"redo\") opens them",
            "tasktally review-batch ID --decision redo opens them",
        );
        check("wait_batch(id) gives one", "tasktally wait-batch ID gives one");
        check("get_batch(view=\"review\")", "tasktally get-batch --view review");
    }

    #[test]
    fn what_is_no_call_stays_as_it_is() {
        for text in [
            "then control_batch resume or cancel",
            "my_get_task(id=\"a\")",
            "get_task(nothing=\"a\")",
            "get_task(id=\"a\"|\"b\")",
            "get_task(id=\"a",
            "get_task(",
            "get_task(Id)",
            "",
        ] {
            check(text, text);
        }
    }
}
