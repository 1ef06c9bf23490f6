//! The command line: from its arguments to an exit code.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use super::caller::Caller;
use super::commands;
use super::open_store::open;
use super::positional::{find_command, name_positionals};
use super::process_setup;
use super::prompt;
use super::reply::ReplyPrinter;
use super::store_path::{existing_store_path, named_store_path};
use super::subcommand::{Invocation, Subcommand};
use super::usage_error::print_usage_error;
use crate::error::{Code, Error, Result};
use crate::ops::{self, Entry, Operation as _, ReviewBatch};
use crate::store::sqlite::sqlite_version;
use crate::terminal::{hyphenated, is_closed_output};

/// The whole command line: all commands with their options and help texts.
pub fn command() -> Command {
    let commands = root().subcommands(commands::ALL.iter().map(Subcommand::command));
    commands.subcommands(
        ops::ALL
            .iter()
            .map(|entry| Command::new(hyphenated(entry.name)).about(entry.title).defer(entry.command)),
    )
}

/// The commands and options that people type, without those that the program uses for itself.
pub(super) fn visible_command() -> Command {
    let others = commands::ALL.iter().map(Subcommand::command);
    let operations = ops::ALL.iter().map(|entry| (entry.command)(Command::new(hyphenated(entry.name))));
    root().subcommands(others.chain(operations).filter(|command| !command.is_hide_set()).map(without_hidden))
}

/// The same with their long help texts, for manual pages.
pub(super) fn documented_command() -> Command {
    let others = commands::ALL.iter().map(Subcommand::command);
    let operations =
        ops::ALL.iter().map(|entry| (entry.command)(Command::new(hyphenated(entry.name)).about(entry.title)));
    // Manual pages name the version without what differs between builds.
    let root = root().version(env!("CARGO_PKG_VERSION"));
    root.subcommands(others.chain(operations).filter(|command| !command.is_hide_set()))
}

/// A command without its hidden options and subcommands. clap can hide them, but not remove them.
fn without_hidden(command: Command) -> Command {
    let visible = Command::new(command.get_name().to_owned())
        .args(command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().cloned().map(without_hidden));
    match command.get_about() {
        Some(about) => visible.about(about.clone()),
        None => visible,
    }
}

/// The version of this program and of the SQLite in it, with the commit if the build knew it.
fn version() -> String {
    let (version, sqlite) = (env!("CARGO_PKG_VERSION"), sqlite_version());
    match option_env!("TASKTALLY_BUILD_COMMIT") {
        Some(commit) => format!("{version} (commit {commit}, SQLite {sqlite})"),
        None => format!("{version} (SQLite {sqlite})"),
    }
}

/// The program with its options for all commands.
fn root() -> Command {
    Command::new("tasktally")
        .version(version())
        .about("A task manager that many AI agents share")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("db")
                .long("db")
                .env("TASKTALLY_DB")
                .global(true)
                .value_name("PATH")
                // An empty variable counts as unset, so an empty value is not refused here.
                .value_parser(OsStringValueParser::new().map(PathBuf::from))
                .help("The store's file, or the folder it is in [default: one in the user's data folder]"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Print JSON; for a tool's command, the reply of the MCP tool"),
        )
}

/// Separates the elements of list options, which are written with commas or as a JSON array.
fn separate_list_options(arguments: &mut [OsString]) {
    let may_be_list = |argument: &OsString| argument.to_string_lossy().contains([',', '[']);
    if !arguments.iter().any(may_be_list) {
        return;
    }
    let command = arguments.iter().skip(1).find_map(|word| {
        let word = word.to_str()?;
        let entry = ops::ALL.iter().find(|entry| hyphenated(entry.name) == word);
        let other = commands::ALL.iter().find(|command| command.name() == word);
        entry
            .map(|entry| (entry.command)(Command::new(entry.name)))
            .or_else(|| other.map(Subcommand::command))
    });
    if let Some(command) = command {
        ops::separate_lists(arguments, &command);
    }
}

/// Runs the command that the process was started with.
///
/// Returns the exit code: 0 done, 1 a task failed or was refused, 2 bad usage or set-up, 3 nothing to do.
pub fn main() -> ExitCode {
    process_setup::survive_file_size_limit();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = process_setup::run_as_init(&arguments) {
        return ExitCode::from(code);
    }
    let root = command();
    let mut arguments = name_positionals(arguments, &root);
    separate_list_options(&mut arguments);
    prompt::rename_prompt(&mut arguments, &root);
    // What follows `--` is the command of a worker.
    let json = arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let from_command = find_command(&arguments, &root).map_or(Vec::new(), |at| arguments[at..].to_vec());
    let matches = match root.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            print_usage_error(error, &from_command, json);
            return ExitCode::from(code);
        }
    };
    let json = matches.get_flag("json");
    // Not locked: the MCP server and the runner's threads print as well.
    let mut out = std::io::stdout();
    let named = named_store(&matches);
    let db = named.as_ref().ok().and_then(Option::as_deref);
    let printer = ReplyPrinter { json, db };
    match named.as_ref().map_err(Error::copy).and_then(|_| run(&matches, printer, &mut out)) {
        Ok(code) => ExitCode::from(code),
        // The reader of the output, such as `head`, exited because it has what it wanted.
        Err(error) if is_closed_output(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printer.print_error(&error, &mut out);
            ExitCode::from(exit_code(error.code))
        }
    }
}

/// The store that `--db` or `TASKTALLY_DB` names, if one of them does.
///
/// # Errors
/// If `--db` is empty, or the path cannot be used.
fn named_store(matches: &ArgMatches) -> Result<Option<PathBuf>> {
    let name = match matches.value_source("db") {
        Some(ValueSource::EnvVariable) => "TASKTALLY_DB",
        _ => "--db",
    };
    match matches.get_one::<PathBuf>("db") {
        Some(path) if path.as_os_str().is_empty() && name == "TASKTALLY_DB" => Ok(None),
        Some(path) => named_store_path(path, name).map(Some),
        None => Ok(None),
    }
}

fn exit_code(code: Code) -> u8 {
    match code {
        Code::InvalidArgument | Code::TooLarge | Code::StoreNewer | Code::ReadOnly => 2,
        Code::NothingToClaim => 3,
        _ => 1,
    }
}

fn run(matches: &ArgMatches, printer: ReplyPrinter<'_>, out: &mut dyn Write) -> Result<u8> {
    let ReplyPrinter { json, db } = printer;
    let Some((name, matches)) = matches.subcommand() else { return Ok(2) };
    if let Some(entry) = ops::ALL.iter().find(|entry| hyphenated(entry.name) == name) {
        return run_operation(entry, matches, printer, out);
    }
    match commands::ALL.iter().find(|command| command.name() == name) {
        Some(command) => command.run(Invocation { matches, db, json, out }),
        None => Err(Error::invalid(format!("'{name}' is not a command; tasktally help lists them"))),
    }
}

fn run_operation(
    entry: &Entry,
    matches: &ArgMatches,
    printer: ReplyPrinter<'_>,
    mut out: &mut dyn Write,
) -> Result<u8> {
    if !entry.creates_store {
        existing_store_path(printer.db)?;
    }
    let session = open(printer.db, Caller::Person)?;
    let reply = (entry.call_matches)(&session, matches)?;
    printer.print(&reply, &mut out)?;
    if entry.name == ReviewBatch::NAME {
        printer.print_after_review(&reply, &mut out)?;
    }
    Ok(u8::from(reply.get("success") == Some(&Value::Bool(false))))
}
