//! Prints why the arguments cannot be parsed, and what was probably meant.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::reply::ReplyPrinter;
use crate::error::Error;
use crate::terminal::{shell_word, with_commands};

/// The commands that take the command of a worker after `--`.
const WITH_WORKER_COMMAND: [&str; 2] = ["run", "work"];
/// The most commands that are proposed for one that does not exist.
const MAX_PROPOSED: usize = 3;

/// Prints why the arguments cannot be parsed, or the help that was asked for. `words` are the arguments from the command's
/// name on.
pub(super) fn print_usage_error(mut error: clap::Error, words: &[OsString], json: bool) {
    add_tip(&mut error, words);
    if json && error.use_stderr() {
        let refusal = Error::invalid(usage_message(&error));
        ReplyPrinter { json, db: None }.print_error(&refusal, &mut std::io::stdout());
        return;
    }
    // If the terminal is gone there is nothing left to report to.
    if error.kind() != ErrorKind::ValueValidation {
        error.print().ok();
        return;
    }
    // The parsers of values are shared with the MCP tools, and so are their messages.
    let stderr = std::io::stderr();
    let text = error.render();
    let text = if stderr.is_terminal() { text.ansi().to_string() } else { text.to_string() };
    write!(stderr.lock(), "{}", with_commands(&text, "tasktally")).ok();
}

/// Why the arguments cannot be parsed, in one line and without the usage.
fn usage_message(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "arguments are missing; --help lists them".to_owned();
    }
    let text = error.render().to_string();
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    let message = text[..end.unwrap_or(text.len())].trim().trim_start_matches("error: ");
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Says what was probably meant.
fn add_tip(error: &mut clap::Error, words: &[OsString]) {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand)
    {
        // clap lists the most similar name last.
        let names = names.iter().rev().take(MAX_PROPOSED).cloned().collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && let Some(tip) = tip_for_word(word, words)
    {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
}

/// What a word that is no option was meant as: the source of the items, or the command of a worker.
fn tip_for_word(word: &str, words: &[OsString]) -> Option<String> {
    let name = words.first()?.to_str()?;
    if word.starts_with('-') || !WITH_WORKER_COMMAND.contains(&name) {
        return None;
    }
    let names_items = |given: &OsString| {
        let given = given.to_string_lossy();
        ["--items", "--resume"].iter().any(|option| given.split('=').next() == Some(option))
    };
    let word = shell_word(word);
    Some(if name == "run" && !words.iter().take_while(|given| *given != "--").any(names_items) {
        format!("to name the items, write '--items {word}'; the command for each of them stands after '--'")
    } else {
        format!("the command of the workers stands after '--': write '-- {word}'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_without_an_option_is_the_source_or_the_command() {
        #[track_caller]
        fn check(line: &str, word: &str, expected: Option<&str>) {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let tip = tip_for_word(word, &words);
            assert_eq!(tip.is_some(), expected.is_some(), "{line}: {tip:?}");
            assert!(tip.unwrap_or_default().contains(expected.unwrap_or_default()), "{line}");
        }
        check("run a.jsonl -- ./w", "a.jsonl", Some("write '--items a.jsonl'"));
        check("run a.jsonl -- ./w --items", "a.jsonl", Some("write '--items a.jsonl'"));
        check("run --items a.jsonl ./w", "./w", Some("write '-- ./w'"));
        check("run --items=a.jsonl ./w", "./w", Some("write '-- ./w'"));
        check("run --resume b ./w", "./w", Some("write '-- ./w'"));
        check("work ./w", "./w", Some("write '-- ./w'"));
        check("run --fast", "--fast", None);
        check("verify x", "x", None);
    }
}
