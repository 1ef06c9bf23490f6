//! The list of the commands that are not operations.

use std::ffi::OsString;

use clap::{Arg, Args, Command};

use super::store_path::command_prefix;
use super::subcommand::Subcommand;
use super::{
    backup, completions, config, connect, db, demo, doctor, export, heads, import, init, logs, man, manifest,
    prompt, report, serve, verify,
};
use crate::error::Error;
use crate::{watch, work};

/// The commands, in the order in which the help lists them.
pub(super) static ALL: &[Subcommand] = &[
    Subcommand::new(
        "run",
        "Make a batch from items and work on it here, with a progress bar",
        work::Run::augment_args,
        |call| {
            let prefix = command_prefix(&call.store_path()?);
            let options: work::Run = call.arguments()?;
            let session = if options.is_resumed() { call.open_existing() } else { call.open() };
            work::run(options, &session?.with_max_write_wait(None), &prefix, call.json)
        },
    ),
    Subcommand::new(
        "demo",
        "See eight workers finish a batch, in a temporary store",
        demo::Demo::augment_args,
        demo::run,
    ),
    Subcommand::new(
        demo::DEMO_WORKER,
        "Work an item of the demo",
        no_arguments,
        |mut call| demo::run_demo_worker(&mut call.out),
    )
    .internal(),
    Subcommand::new(
        "work",
        "Work on batches and tasks that exist already",
        work::Work::augment_args,
        |call| {
            let options: work::Work = call.arguments()?;
            if options.is_by_profile() {
                // A profile says what its workers get. A command of the command line gets what the person passes on.
                work::close_inherited_descriptors().map_err(|error| {
                    Error::internal("the file descriptors of this process cannot be listed", error)
                })?;
            }
            if options.is_in_background() {
                serve::log_to_stderr();
            }
            let store = call.store_path()?;
            let session = call.open_existing()?.with_max_write_wait(None);
            work::work(options, &session, &store, &command_prefix(&store), call.json)
        },
    ),
    Subcommand::new(
        "watch",
        "Watch a batch on a screen, or as one line per change",
        watch::Watch::augment_args,
        |call| {
            let prefix = command_prefix(&call.store_path()?);
            watch::run(&call.arguments()?, &call.open_existing()?, &prefix, call.json)
        },
    ),
    Subcommand::new(
        "logs",
        "Print the output of a chunk's background worker",
        logs::Logs::augment_args,
        |mut call| logs::run(&call.arguments()?, &call.open_existing()?, call.json, &mut call.out),
    ),
    Subcommand::new("serve", "Run the MCP server on standard input and output", serve::arguments, serve::run)
        .for_workers_too(),
    Subcommand::new(
        "init",
        "Print the configuration for an MCP client, or write it to the client's file",
        init::Init::augment_args,
        |mut call| call.arguments::<init::Init>()?.run(&mut call.out).map(|()| 0),
    ),
    Subcommand::new(
        "supervisor-process",
        "Start and stop the workers of the runner that starts this process",
        run_marker,
        |call| {
            serve::log_to_stderr();
            let run_marker = call.matches.get_one::<String>("run-marker").map(String::as_str);
            work::run_supervisor_process(run_marker).map(|()| 0)
        },
    )
    .internal(),
    Subcommand::new(
        work::SANDBOX_EXEC,
        "Restrict this process to a sandbox and become the command of a worker",
        sandbox_exec,
        |call| {
            let sandbox = call.matches.get_one::<String>("sandbox").map_or("", String::as_str);
            let command: Vec<OsString> =
                call.matches.get_many::<OsString>("command").into_iter().flatten().cloned().collect();
            Err(work::run_in_sandbox(sandbox, &command))
        },
    )
    .internal(),
    Subcommand::new(
        "config",
        "Show the configuration, print an example or check the worker profiles",
        config::arguments,
        |mut call| config::run(call.matches, call.db, call.json, &mut call.out),
    )
    .for_workers_too(),
    Subcommand::new(
        "connect",
        "Run the MCP server of a background worker, for agents that read MCP servers only from their own configuration",
        no_arguments,
        |_| connect::run(),
    )
    .for_workers_too(),
    Subcommand::new(
        "prompt",
        "Print a prompt for a supervisor or a worker, as an MCP client gets it",
        prompt::arguments,
        prompt::run,
    )
    .for_workers_too(),
    Subcommand::new(
        "report",
        "Write a batch's full report as Markdown and as HTML",
        report::Report::augment_args,
        |mut call| report::run(&call.arguments()?, &call.open_existing()?, call.json, &mut call.out),
    ),
    Subcommand::new(
        "verify",
        "Check every receipt of the store against its hash chain, and the counts against the receipts",
        verify::Verify::augment_args,
        |mut call| {
            let program = command_prefix(&call.store_path()?);
            verify::verify(&call.arguments()?, &call.open_existing()?, &program, call.json, &mut call.out)
        },
    ),
    Subcommand::new(
        "doctor",
        "Check the store, its disk, its batches and the configuration",
        doctor::Doctor::augment_args,
        |mut call| doctor::run(&call.arguments()?, call.db, call.json, &mut call.out),
    ),
    Subcommand::new(
        "heads",
        "Print the last hashes of each task's receipts and contents, for a later verify --from",
        heads::Heads::augment_args,
        |mut call| heads::heads(&call.arguments()?, &call.open_existing()?, call.json, &mut call.out),
    ),
    Subcommand::new(
        "backup",
        "Copy the store to one file, while others write to it",
        backup::Backup::augment_args,
        |mut call| backup::run(&call.arguments()?, &call.existing_store_path()?, call.json, &mut call.out),
    ),
    Subcommand::new(
        "export",
        "Export everything in the store as JSON lines",
        export::Export::augment_args,
        |mut call| export::run(&call.arguments()?, &call.existing_store_path()?, call.json, &mut call.out),
    ),
    Subcommand::new("import", "Make a new store from an export", import::Import::augment_args, |mut call| {
        import::run(&call.arguments()?, &call.store_path()?, call.json, &mut call.out)
    }),
    Subcommand::new(
        "db",
        "Print the SQL that creates the tables in PostgreSQL, and the rights that a role needs",
        db::arguments,
        |mut call| db::run(call.matches, call.json, &mut call.out),
    ),
    Subcommand::new(
        "completions",
        "Print the script with which a shell completes commands and options",
        completions::Completions::augment_args,
        |mut call| completions::run(&call.arguments()?, &mut call.out),
    ),
    Subcommand::new(
        "man",
        "Write a manual page for each command, or print the one of the program",
        man::Man::augment_args,
        |mut call| man::run(&call.arguments()?, &mut call.out),
    ),
    Subcommand::new(
        "manifest",
        "Print the manifest of the MCP bundle, with its tools and prompts",
        no_arguments,
        |mut call| manifest::run(&mut call.out),
    ),
];

fn no_arguments(command: Command) -> Command {
    command
}

/// The argument by which a runner finds the processes of its workers.
fn run_marker(command: Command) -> Command {
    command.arg(Arg::new("run-marker").help("The run marker").hide(true))
}

fn sandbox_exec(command: Command) -> Command {
    command.arg(Arg::new("sandbox").help("The sandbox as JSON").required(true)).arg(
        Arg::new("command")
            .help("The program and its arguments")
            .required(true)
            .num_args(1..)
            .last(true)
            .allow_hyphen_values(true)
            .value_parser(clap::value_parser!(OsString)),
    )
}
