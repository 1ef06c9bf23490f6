//! Parameters of operations without their names: `tasktally get-task ID`, `tasktally control-batch ID pause`.
//!
//! An operation's parameters are named options, from the same type as the tool's parameters. This module adds the
//! names that were left out, before the arguments are parsed.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

use crate::ops::{self, Entry};
use crate::terminal::hyphenated;

/// The values of a flag that may also stand without a value.
const FLAG_VALUES: [&str; 2] = ["true", "false"];

/// What the word after an option is.
enum NextWord {
    /// Its value.
    Value,
    /// Its value if the option can have that value.
    FlagValue,
    /// A word of its own.
    Other,
}

/// Adds the names of an operation's parameters that were left out: before a word that belongs to no option, wherever it
/// is, and before every word after `--`. Words of other commands stay as they are.
pub(super) fn name_positionals(arguments: Vec<OsString>, root: &Command) -> Vec<OsString> {
    let Some((at, entry)) = find_operation(&arguments, root) else { return arguments };
    let command = (entry.command)(Command::new(entry.name)).args(root.get_arguments().cloned());
    let mut names = unnamed_parameters(entry, &command, &arguments[at + 1..]);
    let is_list = |name: &str| find_option(&command, name).is_some_and(is_list);
    let (mut named, mut left) = (arguments[..=at].to_vec(), Vec::new());
    let mut words = arguments.into_iter().skip(at + 1).peekable();
    let mut after_dashes = false;
    while let Some(word) = words.next() {
        if !after_dashes && word == "--" {
            after_dashes = true;
        } else if after_dashes || !is_option(&word) {
            match names.first() {
                Some(name) => {
                    named.extend([format!("--{name}").into(), word]);
                    // A list takes all further words.
                    if names.len() > 1 || !is_list(names[0]) {
                        names.remove(0);
                    }
                }
                // The parser refuses it.
                None => left.push(word),
            }
        } else {
            match next_word(&command, &word) {
                NextWord::Other => named.push(word),
                NextWord::Value => {
                    named.push(word);
                    named.extend(words.next());
                }
                NextWord::FlagValue => {
                    let value = words.next_if(|next| FLAG_VALUES.iter().any(|value| next == value));
                    let mut flag = word;
                    flag.push("=");
                    flag.push(value.unwrap_or_else(|| "true".into()));
                    named.push(flag);
                }
            }
        }
    }
    if after_dashes && !left.is_empty() {
        named.push("--".into());
    }
    named.extend(left);
    named
}

/// The operation that the arguments call, and its place.
fn find_operation(arguments: &[OsString], root: &Command) -> Option<(usize, &'static Entry)> {
    let at = find_command(arguments, root)?;
    let entry = ops::ALL.iter().find(|entry| hyphenated(entry.name).as_str() == arguments[at])?;
    Some((at, entry))
}

/// The place of the command's name. Options before it, and their values, are skipped.
pub(super) fn find_command(arguments: &[OsString], root: &Command) -> Option<usize> {
    let mut words = arguments.iter().enumerate().skip(1);
    while let Some((at, word)) = words.next() {
        if !is_option(word) {
            return Some(at);
        }
        if matches!(next_word(root, word), NextWord::Value) {
            words.next();
        }
    }
    None
}

/// The parameters that may stand without their names, except those that the words name.
fn unnamed_parameters(entry: &Entry, command: &Command, words: &[OsString]) -> Vec<&'static str> {
    let mut named: Vec<String> = Vec::new();
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        named.extend(option_name(word).map(str::to_owned));
        if is_option(word) && matches!(next_word(command, word), NextWord::Value) {
            words.next();
        }
    }
    let names = std::iter::once(entry.positional).chain(entry.second_positional);
    names.filter(|name| !named.iter().any(|other| other == name)).collect()
}

fn is_option(word: &OsStr) -> bool {
    word.len() > 1 && word.as_encoded_bytes().starts_with(b"-")
}

/// The name of a long option, without its value.
fn option_name(word: &OsStr) -> Option<&str> {
    let name = word.to_str()?.strip_prefix("--")?;
    Some(name.split_once('=').map_or(name, |(name, _)| name))
}

fn find_option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    })
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// What follows an option.
fn next_word(command: &Command, option: &OsStr) -> NextWord {
    let has_value = option.as_encoded_bytes().contains(&b'=');
    let known = option_name(option).and_then(|name| find_option(command, name));
    // A flag that may have a value has the action of a flag.
    let takes_value = |arg: &Arg| match arg.get_num_args() {
        Some(count) => count.takes_values(),
        None => arg.get_action().takes_values(),
    };
    match known.filter(|arg| !has_value && takes_value(arg)) {
        None => NextWord::Other,
        Some(arg) if arg.get_num_args().is_some_and(|count| count.min_values() == 0) => NextWord::FlagValue,
        Some(_) => NextWord::Value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command_line::command;

    #[test]
    fn names_are_added_wherever_they_were_left_out() {
        let check = |given: &str, expected: &str| {
            let words = given.split(' ').map(OsString::from).collect();
            let named: Vec<String> = name_positionals(words, &command())
                .into_iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            assert_eq!(named.join(" "), expected, "{given}");
        };
        check("t get-task a1", "t get-task --id a1");
        check("t get-task --limit 3 a1", "t get-task --limit 3 --id a1");
        check("t get-task --limit=3 a1 --json", "t get-task --limit=3 --id a1 --json");
        check("t get-task --json -- a1", "t get-task --json --id a1");
        check("t search-tasks -- --weird", "t search-tasks --query --weird");
        check("t search-tasks help", "t search-tasks --query help");
        check("t --db get-task get-task a1", "t --db get-task get-task --id a1");
        check("t get-task --db x a1", "t get-task --db x --id a1");
        check("t complete-task --force a1", "t complete-task --force=true --id a1");
        check("t complete-task --force false a1", "t complete-task --force=false --id a1");
        check(
            "t complete-tasks a1 a2 --force a3",
            "t complete-tasks --ids a1 --ids a2 --force=true --ids a3",
        );
        check("t control-batch a1 pause", "t control-batch --id a1 --action pause");
        check("t control-batch --reason why a1 pause", "t control-batch --reason why --id a1 --action pause");
        check("t control-batch pause --id a1", "t control-batch --action pause --id a1");
        check("t review-batch a1 --chunk 1 approve", "t review-batch --id a1 --chunk 1 --decision approve");
        check("t update-task a1 --body --id", "t update-task --id a1 --body --id");
        // The parser refuses what is left.
        check("t get-task a1 a2", "t get-task --id a1 a2");
        check("t get-task --id a1 -- --a2", "t get-task --id a1 -- --a2");
        check("t run --items x -- get-task a1", "t run --items x -- get-task a1");
    }
}
