//! `tasktally prompt`: a prompt's text, as `prompts/get` gives it.

use std::io::Write;

use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::render::say;
use crate::error::Result;
use crate::prompts::{ALL, Prompt, named};

/// A subcommand for each prompt.
pub(super) fn arguments(command: Command) -> Command {
    let command = command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("NAME")
        .subcommand_help_heading("Prompts")
        .disable_help_subcommand(true);
    ALL.iter().fold(command, |command, prompt| command.subcommand(one(prompt)))
}

fn one(prompt: &Prompt) -> Command {
    let arguments = prompt.arguments.iter().map(|argument| {
        Arg::new(argument.name)
            .long(argument.name)
            .help(argument.about)
            .required(argument.required)
            .allow_hyphen_values(true)
    });
    Command::new(prompt.name).alias(prompt.name.replace('_', "-")).about(prompt.about).args(arguments)
}

/// Prints the text; with `--json` what `prompts/get` answers.
pub(super) fn run(matches: &ArgMatches, json: bool, out: &mut impl Write) -> Result<u8> {
    let (name, matches) = matches.subcommand().unwrap_or(("", matches));
    let prompt = named(ALL.iter(), name)?;
    let given: Map<String, Value> = prompt
        .arguments
        .iter()
        .filter_map(|argument| {
            let value = matches.get_one::<String>(argument.name)?;
            Some((argument.name.to_owned(), value.as_str().into()))
        })
        .collect();
    let text = prompt.render(&given)?;
    let shown = if json {
        json!({
            "success": true,
            "message": prompt.title,
            "description": prompt.about,
            "messages": [{ "role": "user", "content": { "type": "text", "text": text } }],
        })
        .to_string()
    } else {
        text
    };
    say(out, &shown)?;
    Ok(0)
}
