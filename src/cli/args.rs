//! From the command line to an exit code.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use super::commands::{self, Call};
use super::open::{Caller, open};
use super::render::Voice;
use crate::error::{Code, Error, Result};
use crate::ops::{self, Entry, Session};

/// What an operation or a parameter is called on the command line.
pub(super) fn hyphens(name: &str) -> String {
    name.replace('_', "-")
}

fn command() -> Command {
    let mut root = Command::new("tasktally")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The task manager that a swarm of AI agents shares")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("db")
                .long("db")
                .env("TASKTALLY_DB")
                .global(true)
                .value_name("PATH")
                .value_parser(clap::value_parser!(PathBuf))
                .help("the store's file (else one in the user's data folder)"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("the reply as the tool gives it"),
        )
        .subcommands(commands::ALL.iter().map(commands::Other::command));
    for entry in ops::ALL {
        let command = Command::new(hyphens(entry.name)).about(entry.title);
        root = root.subcommand(command.defer(entry.command));
    }
    root
}

/// Lets the first parameter of an operation stand without its name: `tasktally get-task ID`.
fn name_first(arguments: Vec<OsString>) -> Vec<OsString> {
    let found = arguments.iter().enumerate().skip(1).find_map(|(at, word)| {
        let word = word.to_str()?;
        ops::ALL.iter().find(|entry| hyphens(entry.name) == word).map(|entry| (at, entry))
    });
    let mut arguments = arguments;
    if let Some((at, entry)) = found
        && arguments
            .get(at + 1)
            .is_some_and(|next| !next.to_string_lossy().starts_with('-') && next != "help")
    {
        arguments.insert(at + 1, format!("--{}", entry.positional).into());
    }
    arguments
}

/// Runs the command line; gives the exit code: 0 done, 1 a task failed or was refused,
/// 2 bad usage or set-up, 3 nothing to do.
pub fn main() -> ExitCode {
    let arguments = name_first(std::env::args_os().collect());
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Nothing is left to tell where the terminal is gone.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let json = matches.get_flag("json");
    // Not locked: the server and the runner's threads print, too.
    let mut out = std::io::stdout();
    let db = matches.get_one::<PathBuf>("db").map(PathBuf::as_path);
    let voice = Voice { json, db };
    match run(&matches, voice, &mut out) {
        Ok(code) => ExitCode::from(code),
        // Whoever read it has seen enough.
        Err(error) if has_lost_its_reader(&error) => ExitCode::SUCCESS,
        Err(error) => {
            voice.refuse(&error, &mut out);
            ExitCode::from(code_of(error.code))
        }
    }
}

/// Whether a command could not print because its reader went away, as `head` does.
fn has_lost_its_reader(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    error.message.contains("printed") && cause.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

fn code_of(code: Code) -> u8 {
    match code {
        Code::InvalidArgument | Code::TooLarge | Code::StoreNewer | Code::ReadOnly => 2,
        Code::NothingToClaim => 3,
        _ => 1,
    }
}

fn run(matches: &ArgMatches, voice: Voice<'_>, out: &mut dyn Write) -> Result<u8> {
    let Voice { json, db } = voice;
    let Some((name, matches)) = matches.subcommand() else { return Ok(2) };
    if let Some(entry) = ops::ALL.iter().find(|entry| hyphens(entry.name) == name) {
        return operate(entry, matches, voice, &open(db, Caller::Person)?, out);
    }
    match commands::ALL.iter().find(|command| command.name() == name) {
        Some(command) => command.run(Call { matches, db, json, out }),
        None => Err(Error::invalid(format!("'{name}' is not a command; tasktally help lists them"))),
    }
}

fn operate(
    entry: &Entry,
    matches: &ArgMatches,
    voice: Voice<'_>,
    session: &Session,
    mut out: &mut dyn Write,
) -> Result<u8> {
    let reply = (entry.call_matches)(session, matches)?;
    voice.show(&reply, &mut out)?;
    Ok(u8::from(reply.get("success") == Some(&Value::Bool(false))))
}
