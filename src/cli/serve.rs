//! `tasktally serve`: the MCP server on standard input and output.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::thread::Builder;

use clap::{Arg, ArgAction, Command};
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::caller::Caller;
use super::open_store::{open, worker_scope};
use super::program_name::typed_name;
use super::subcommand::Invocation;
use crate::error::Result;
use crate::mcp::{self, Toolset};
use crate::model::author::AuthorKind;
use crate::model::id::TaskId;
use crate::model::text::LineText;
use crate::ops::{self, ServerScope, check_in_scope};

/// The arguments of the command.
pub(super) fn arguments(command: Command) -> Command {
    command.arg(
        Arg::new("toolset")
            .long("toolset")
            .value_name("TOOLSET")
            .value_parser(clap::value_parser!(Toolset))
            .default_value("all")
            .help("Which tools to offer; `worker` offers only those that a background worker needs"),
    )
    .arg(
        Arg::new("project")
            .long("project")
            .value_name("PROJECT")
            .value_parser(clap::value_parser!(LineText))
            .help("Give access to the tasks of this project only [default: all projects]"),
    )
    .arg(
        Arg::new("batch")
            .long("batch")
            .value_name("ID")
            .value_parser(clap::value_parser!(TaskId))
            .help("Give access to this batch and its chunks only"),
    )
    .arg(
        Arg::new("read_only")
            .long("read-only")
            .action(ArgAction::SetTrue)
            .help("Offer only tools that change nothing"),
    )
    .arg(
        Arg::new("item_folder")
            .long("item-folder")
            .value_name("DIR")
            .value_parser(clap::value_parser!(PathBuf))
            .action(ArgAction::Append)
            .help("A folder that agents may read items from [default: the current folder, unless it is / or your home]"),
    )
}

/// Serves one client, and starts a runner for every batch that has a worker profile but no runner.
pub(super) fn run(call: Invocation<'_>) -> Result<u8> {
    log_to_stderr();
    if std::io::stdin().is_terminal() {
        // An MCP client connects pipes. A person sees a program that does nothing.
        let program = typed_name();
        writeln!(
            std::io::stderr(),
            "This is an MCP server: it waits for a client's messages on standard input. Ctrl-C ends it. `{program} init` prints the configuration with which a client starts it"
        )
        .ok();
    }
    let requested = call.matches.get_one::<Toolset>("toolset").copied().unwrap_or(Toolset::All);
    let toolset = if worker_scope()?.is_some() { Toolset::Worker } else { requested };
    let item_folders = call.matches.get_many::<PathBuf>("item_folder").unwrap_or_default().cloned().collect();
    let mut session = open(call.db, Caller::Agent { item_folders })?;
    if toolset == Toolset::Worker {
        session = session.of_kind(AuthorKind::Worker);
    }
    let scope = ServerScope {
        // A worker's own scope is narrower than the worker toolset.
        worker_tools: toolset == Toolset::Worker && worker_scope()?.is_none(),
        project: call.matches.get_one::<LineText>("project").map(|project| project.as_str().to_owned()),
        batch: call.matches.get_one::<TaskId>("batch").cloned(),
        read_only: call.matches.get_flag("read_only"),
    };
    let has_everything = scope.is_everything();
    let session = session.with_server_scope(scope);
    if let Some(batch) = call.matches.get_one::<TaskId>("batch") {
        check_in_scope(&session, batch)?;
    }
    std::thread::scope(|scope| {
        let for_runners = session.clone();
        // A server with a scope leaves this out: it has no part in other batches, and a worker's batch has a runner.
        if has_everything {
            let started = Builder::new().name("missing-runners".into()).spawn_scoped(scope, move || {
                if let Err(error) = ops::start_missing_runners(&for_runners) {
                    tracing::warn!(%error, "cannot check whether batches lack a runner");
                }
            });
            if let Err(error) = started {
                tracing::warn!(%error, "cannot check whether batches lack a runner");
            }
        }
        mcp::serve(session, toolset)
    })?;
    Ok(0)
}

/// Logs to standard error, because standard output belongs to the protocol. `TASKTALLY_LOG` sets the level of
/// each target, such as `tasktally=debug`; by default only warnings are logged.
pub(super) fn log_to_stderr() {
    let default = || Targets::new().with_target("tasktally", Level::WARN).with_target("rmcp", Level::ERROR);
    let requested = std::env::var("TASKTALLY_LOG").ok().filter(|levels| !levels.is_empty());
    let filter = requested.and_then(|levels| levels.parse().ok()).unwrap_or_else(default);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
