//! From the command line to an exit code.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::Value;

use super::open::{Caller, job, open, store_path};
use super::render::{refuse, show};
use super::{config, connect, init, logs, manifest, prompt, report, verify};
use crate::error::{Code, Error, Result};
use crate::mcp::{self, Toolset, definitions};
use crate::ops::{self, Docket, Entry};
use crate::{watch, work};

fn hyphens(name: &str) -> String {
    name.replace('_', "-")
}

fn command() -> Command {
    let mut root = Command::new("docket")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The task manager that a swarm of AI agents shares")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("db")
                .long("db")
                .env("DOCKET_DB")
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
        .subcommand(work::Run::augment_args(
            Command::new("run").about("Make a batch from items and work it here, with a progress bar"),
        ))
        .subcommand(work::Work::augment_args(Command::new("work").about("Work what others made")))
        .subcommand(watch::Watch::augment_args(
            Command::new("watch").about("Watch a batch on a screen, or as a line a change"),
        ))
        .subcommand(logs::Logs::augment_args(
            Command::new("logs").about("What a chunk's background worker printed"),
        ))
        .subcommand(
            Command::new("serve").about("The MCP server, on standard input and output").arg(
                Arg::new("toolset")
                    .long("toolset")
                    .value_parser(clap::value_parser!(Toolset))
                    .default_value("all")
                    .help("`worker` offers only what a background worker needs"),
            ),
        )
        .subcommand(init::Init::augment_args(
            Command::new("init").about("The configuration for an MCP client"),
        ))
        .subcommand(
            Command::new("keeper")
                .about("Starts and ends the workers of a runner, which starts it")
                .arg(Arg::new("mark"))
                .hide(true),
        )
        .subcommand(config::command())
        .subcommand(
            Command::new("connect").about("The MCP server that a background worker was given, for agents that take servers only from a configuration of their own"),
        )
        .subcommand(prompt::command())
        .subcommand(report::Report::augment_args(
            Command::new("report").about("A batch's audit, as one Markdown and one HTML file"),
        ))
        .subcommand(
            verify::Verify::augment_args(
                Command::new("verify")
                    .about("Check every receipt against its hash chain, and the counts against the receipts"),
            ),
        )
        .subcommand(
            Command::new("heads")
                .about("Print where each task's hash chain stands: kept elsewhere, docket verify --from compares with it"),
        )
        .subcommand(
            Command::new("manifest").about("The MCPB manifest, its tools and prompts listed from the code"),
        );
    for entry in ops::ALL {
        let command =
            (entry.command)(Command::new(hyphens(entry.name))).about(entry.title).long_about(entry.about);
        // Items are data: what begins with a hyphen is a value all the same.
        root = root.subcommand(command.mut_args(|arg| {
            if arg.get_action().takes_values() { arg.allow_hyphen_values(true) } else { arg }
        }));
    }
    root
}

/// Lets the first parameter of an operation stand without its name: `docket get-task ID`.
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
        arguments.insert(at + 1, format!("--{}", entry.first).into());
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
    match run(&matches, json, &mut out) {
        Ok(code) => ExitCode::from(code),
        // Whoever read it has seen enough.
        Err(error) if has_lost_its_reader(&error) => ExitCode::SUCCESS,
        Err(error) => {
            refuse(&error, json, &mut out);
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

fn usage(error: clap::Error) -> Error {
    Error::invalid(error.to_string())
}

fn run(matches: &ArgMatches, json: bool, out: &mut impl Write) -> Result<u8> {
    let db = matches.get_one::<PathBuf>("db").map(PathBuf::as_path);
    let Some((name, matches)) = matches.subcommand() else { return Ok(2) };
    if let Some(entry) = ops::ALL.iter().find(|entry| hyphens(entry.name) == name) {
        return operate(entry, matches, json, &open(db, Caller::Person)?, out);
    }
    if job()?.is_some() && !matches!(name, "serve" | "keeper" | "connect" | "config" | "prompt") {
        return Err(Error::invalid(format!(
            "{name}: DOCKET_JOB is set, and the worker of a chunk does not call it; unset it where you are none"
        )));
    }
    match name {
        "serve" => {
            log_to_stderr();
            let asked = matches.get_one::<Toolset>("toolset").copied().unwrap_or(Toolset::All);
            let toolset = if job()?.is_some() { Toolset::Worker } else { asked };
            serve(open(db, Caller::Agent)?, toolset)?;
            Ok(0)
        }
        "run" => {
            let request = work::Run::from_arg_matches(matches).map_err(usage)?;
            work::run(request, &open(db, Caller::Person)?, json)
        }
        "work" => {
            let request = work::Work::from_arg_matches(matches).map_err(usage)?;
            if request.is_in_background() {
                log_to_stderr();
            }
            work::work(request, &open(db, Caller::Person)?, &store_path(db)?, json)
        }
        "keeper" => {
            log_to_stderr();
            work::keep(matches.get_one::<String>("mark").map(String::as_str))?;
            Ok(0)
        }
        "watch" => {
            let request = watch::Watch::from_arg_matches(matches).map_err(usage)?;
            there_is_a_store(db)?;
            watch::run(&request, &open(db, Caller::Person)?, json)
        }
        "logs" => {
            let request = logs::Logs::from_arg_matches(matches).map_err(usage)?;
            there_is_a_store(db)?;
            logs::run(&request, &open(db, Caller::Person)?, json, out)
        }
        "init" => {
            init::Init::from_arg_matches(matches).map_err(usage)?.run(out)?;
            Ok(0)
        }
        "config" => config::run(matches, db, json, out),
        "connect" => connect::run(),
        "prompt" => prompt::run(matches, json, out),
        "report" => {
            let request = report::Report::from_arg_matches(matches).map_err(usage)?;
            there_is_a_store(db)?;
            report::run(&request, &open(db, Caller::Person)?, json, out)
        }
        "verify" => {
            let request = verify::Verify::from_arg_matches(matches).map_err(usage)?;
            there_is_a_store(db)?;
            verify::verify(&request, &open(db, Caller::Person)?, json, out)
        }
        "heads" => {
            there_is_a_store(db)?;
            verify::heads(&open(db, Caller::Person)?, out)
        }
        "manifest" => {
            let tools: Vec<_> = definitions(Toolset::All)
                .into_iter()
                .map(|tool| (tool.name.into_owned(), tool.description.unwrap_or_default().into_owned()))
                .collect();
            let text = serde_json::to_string_pretty(&manifest::manifest(&tools))
                .map_err(|error| Error::internal("the manifest could not be written", error))?;
            writeln!(out, "{text}").map_err(|error| Error::internal("nothing can be printed", error))?;
            Ok(0)
        }
        other => Err(Error::invalid(format!("'{other}' is not a command; docket help lists them"))),
    }
}

/// Looked at first: what only reads must not make a store that isn't there.
fn there_is_a_store(db: Option<&Path>) -> Result<()> {
    let path = store_path(db)?;
    if path.exists() {
        return Ok(());
    }
    Err(Error::invalid(format!("store {}: there is none; --db or DOCKET_DB names one", path.display())))
}

fn operate(
    entry: &Entry,
    matches: &ArgMatches,
    json: bool,
    docket: &Docket,
    out: &mut impl Write,
) -> Result<u8> {
    let reply = (entry.call_matches)(docket, matches)?;
    show(&reply, json, out)?;
    Ok(u8::from(reply.get("success") == Some(&Value::Bool(false))))
}

/// Serves a client; beside it sees to it that batches with a profile are worked.
fn serve(docket: Docket, toolset: Toolset) -> Result<()> {
    std::thread::scope(|scope| {
        let beside = docket.clone();
        // A worker's server is one of many, and has its runner.
        if toolset == Toolset::All {
            scope.spawn(move || {
                if let Err(error) = ops::wake_all(&beside) {
                    tracing::warn!(%error, "it cannot be told whether batches lack a runner");
                }
            });
        }
        mcp::serve(docket, toolset)
    })
}

/// What is worth telling an operator; standard output belongs to the protocol.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DOCKET_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("docket=warn,rmcp=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
