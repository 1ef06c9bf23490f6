//! `tasktally prompt`: the text of a prompt, as the MCP method `prompts/get` returns it.

use std::io::Write;

use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::prompts::{ALL, Prompt, find_prompt};
use crate::terminal::print_line;

/// The arguments of the command: a subcommand for each prompt.
pub(super) fn arguments(command: Command) -> Command {
    let command = command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("NAME")
        .subcommand_help_heading("Prompts")
        .disable_help_subcommand(true);
    ALL.iter().fold(command, |command, prompt| command.subcommand(subcommand(prompt)))
}

fn subcommand(prompt: &Prompt) -> Command {
    let arguments = prompt.arguments.iter().map(|argument| {
        Arg::new(argument.name)
            .long(argument.name)
            .help(argument.about)
            .required(argument.required)
            .allow_hyphen_values(true)
    });
    Command::new(prompt.name).alias(prompt.name.replace('_', "-")).about(prompt.about).args(arguments)
}

/// Prints the text, or with `--json` the whole reply of `prompts/get`.
pub(super) fn run(matches: &ArgMatches, json: bool, out: &mut impl Write) -> Result<u8> {
    let (name, matches) = matches.subcommand().unwrap_or(("", matches));
    let prompt = find_prompt(ALL.iter(), name)?;
    let arguments: Map<String, Value> = prompt
        .arguments
        .iter()
        .filter_map(|argument| {
            let value = matches.get_one::<String>(argument.name)?;
            Some((argument.name.to_owned(), value.as_str().into()))
        })
        .collect();
    let text = prompt.render(&arguments)?;
    let printed = if json {
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
    print_line(out, &printed)?;
    Ok(0)
}
