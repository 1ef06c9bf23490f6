//! `tasktally prompt`: the text of a prompt, as the MCP method `prompts/get` returns it.

use std::ffi::OsString;

use clap::{Arg, Command};
use serde_json::{Map, Value, json};

use super::positional::find_command;
use super::subcommand::Invocation;
use crate::error::Result;
use crate::ops::prompt_needs;
use crate::prompts::{ALL, Facts, Prompt, find_prompt};
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
    Command::new(prompt.name).about(prompt.about).args(arguments)
}

/// Accepts a prompt's name with hyphens: `tasktally prompt work-chunk`. An alias would be suggested beside the name.
pub(super) fn rename_prompt(arguments: &mut [OsString], root: &Command) {
    let Some(at) = find_command(arguments, root).filter(|at| arguments[*at] == "prompt") else { return };
    let Some(name) = arguments.get_mut(at + 1) else { return };
    let with_hyphens = |prompt: &&Prompt| name.to_str() == Some(&prompt.name.replace('_', "-"));
    if let Some(prompt) = ALL.iter().find(with_hyphens) {
        *name = prompt.name.into();
    }
}

/// Prints the text, or with `--json` the whole reply of `prompts/get`.
pub(super) fn run(call: Invocation<'_>) -> Result<u8> {
    let (name, matches) = call.matches.subcommand().unwrap_or(("", call.matches));
    let prompt = find_prompt(ALL.iter(), name)?;
    let arguments: Map<String, Value> = prompt
        .arguments
        .iter()
        .filter_map(|argument| {
            let value = matches.get_one::<String>(argument.name)?;
            Some((argument.name.to_owned(), value.as_str().into()))
        })
        .collect();
    let mut facts = Facts::NONE;
    // If there is no store yet, nothing is known about the batch.
    if let Some(batch) = prompt.batch(&arguments)
        && call.existing_store_path().is_ok()
    {
        facts.worker = prompt_needs(&call.open()?, batch)?;
    }
    let text = prompt.render(&arguments, &facts)?;
    let printed = if call.json {
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
    let mut out = call.out;
    print_line(&mut out, &printed)?;
    Ok(0)
}
