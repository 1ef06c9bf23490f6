//! The commands that only a person or a script needs: each a line in `ALL`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::open::{Caller, job, open, store_path};
use super::shell::command_prefix;
use super::{backup, config, connect, doctor, export, import, init, logs, manifest, prompt, report, verify};
use crate::error::{Error, Result};
use crate::mcp::{self, Toolset};
use crate::ops::{self, Session};
use crate::store::sqlite::cannot;
use crate::{watch, work};

/// How a command was called.
pub(super) struct Call<'a> {
    pub(super) matches: &'a ArgMatches,
    pub(super) db: Option<&'a Path>,
    pub(super) json: bool,
    pub(super) out: &'a mut dyn Write,
}

impl Call<'_> {
    fn request<A: FromArgMatches>(&self) -> Result<A> {
        A::from_arg_matches(self.matches).map_err(|error| Error::invalid(error.to_string()))
    }

    fn store(&self) -> Result<Session> {
        open(self.db, Caller::Person)
    }

    /// For what only reads: it must not make a store that isn't there.
    fn existing_store(&self) -> Result<Session> {
        self.existing_path()?;
        self.store()
    }

    fn existing_path(&self) -> Result<PathBuf> {
        let path = store_path(self.db)?;
        match path.try_exists() {
            Ok(true) => Ok(path),
            Ok(false) => Err(Error::invalid(format!(
                "store {}: there is none; --db or TASKTALLY_DB names one",
                path.display()
            ))),
            Err(error) => Err(cannot(&path, "it cannot be looked at", error)),
        }
    }
}

/// A command that is no operation.
pub(super) struct Other {
    name: &'static str,
    about: &'static str,
    arguments: fn(Command) -> Command,
    /// Whether the worker of a chunk may call it.
    worker: bool,
    run: fn(Call<'_>) -> Result<u8>,
}

const fn other(
    name: &'static str,
    about: &'static str,
    arguments: fn(Command) -> Command,
    run: fn(Call<'_>) -> Result<u8>,
) -> Other {
    Other { name, about, arguments, worker: false, run }
}

impl Other {
    const fn for_workers_too(self) -> Self {
        Other { worker: true, ..self }
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// As the command line's parser knows it.
    pub(super) fn command(&self) -> Command {
        (self.arguments)(Command::new(self.name)).about(self.about)
    }

    /// Runs it; gives the exit code.
    ///
    /// # Errors
    /// What the command fails with, and a call by a worker that has no business with it.
    pub(super) fn run(&self, call: Call<'_>) -> Result<u8> {
        if !self.worker && job()?.is_some() {
            return Err(Error::invalid(format!(
                "{}: TASKTALLY_JOB is set, and the worker of a chunk does not call it; unset it where you are none",
                self.name
            )));
        }
        (self.run)(call)
    }
}

/// Every command that is no operation, in the order of the help.
pub(super) static ALL: &[Other] = &[
    other("run", "Make a batch from items and work it here, with a progress bar", work::Run::augment_args, |call| {
        work::run(call.request()?, &call.store()?.with_patience(None), &command_prefix(&store_path(call.db)?), call.json)
    }),
    other("work", "Work what others made", work::Work::augment_args, |call| {
        let request: work::Work = call.request()?;
        if request.is_in_background() {
            log_to_stderr();
        }
        let store = store_path(call.db)?;
        work::work(request, &call.store()?.with_patience(None), &store, &command_prefix(&store), call.json)
    }),
    other("watch", "Watch a batch on a screen, or as a line a change", watch::Watch::augment_args, |call| {
        watch::run(&call.request()?, &call.existing_store()?, call.json)
    }),
    other("logs", "What a chunk's background worker printed", logs::Logs::augment_args, |mut call| {
        logs::run(&call.request()?, &call.existing_store()?, call.json, &mut call.out)
    }),
    other("serve", "The MCP server, on standard input and output", toolset, serve).for_workers_too(),
    other("init", "The configuration for an MCP client", init::Init::augment_args, |mut call| {
        call.request::<init::Init>()?.run(&mut call.out).map(|()| 0)
    }),
    other("supervisor-process", "Start and stop the workers of the runner that starts this process", run_marker, |call| {
        log_to_stderr();
        work::run_supervisor_process(call.matches.get_one::<String>("run-marker").map(String::as_str)).map(|()| 0)
    })
    .for_workers_too(),
    other(
        "config",
        "Where worker profiles are looked for, what is set and what is the default",
        config::arguments,
        |mut call| config::run(call.matches, call.db, call.json, &mut call.out),
    )
    .for_workers_too(),
    other(
        "connect",
        "The MCP server that a background worker was given, for agents that take servers only from a configuration of their own",
        |command| command,
        |_| connect::run(),
    )
    .for_workers_too(),
    other(
        "prompt",
        "A prompt for a supervisor or a worker, as an MCP client gets it",
        prompt::arguments,
        |mut call| prompt::run(call.matches, call.json, &mut call.out),
    )
    .for_workers_too(),
    other(
        "report",
        "A batch's audit, as one Markdown and one HTML file",
        report::Report::augment_args,
        |mut call| report::run(&call.request()?, &call.existing_store()?, call.json, &mut call.out),
    ),
    other(
        "verify",
        "Check every receipt against its hash chain, and the counts against the receipts",
        verify::Verify::augment_args,
        |mut call| verify::verify(&call.request()?, &call.existing_store()?, call.json, &mut call.out),
    ),
    other(
        "doctor",
        "What is wrong, if anything, and the command that mends it",
        doctor::Doctor::augment_args,
        |mut call| doctor::run(&call.request()?, call.db, call.json, &mut call.out),
    ),
    other(
        "heads",
        "Print where each task's hash chain stands: kept elsewhere, tasktally verify --from compares with it",
        |command| command,
        |mut call| verify::heads(&call.existing_store()?, call.json, &mut call.out),
    ),
    other(
        "backup",
        "A copy of the store in one file, taken while others write",
        backup::Backup::augment_args,
        |mut call| backup::run(&call.request()?, &call.existing_path()?, call.json, &mut call.out),
    ),
    other("export", "All that is stored, as JSON lines", export::Export::augment_args, |mut call| {
        export::run(&call.request()?, &call.existing_path()?, call.json, &mut call.out)
    }),
    other(
        "import",
        "Make a new store from what tasktally export wrote",
        import::Import::augment_args,
        |mut call| import::run(&call.request()?, &store_path(call.db)?, call.json, &mut call.out),
    ),
    other(
        "manifest",
        "The MCPB manifest, its tools and prompts listed from the code",
        |command| command,
        |mut call| manifest::run(&mut call.out),
    ),
];

fn run_marker(command: Command) -> Command {
    command.arg(Arg::new("run-marker")).hide(true)
}

fn toolset(command: Command) -> Command {
    command.arg(
        Arg::new("toolset")
            .long("toolset")
            .value_parser(clap::value_parser!(Toolset))
            .default_value("all")
            .help("`worker` offers only what a background worker needs"),
    )
}

/// Serves a client; beside it sees to it that batches with a profile are worked.
fn serve(call: Call<'_>) -> Result<u8> {
    log_to_stderr();
    let asked = call.matches.get_one::<Toolset>("toolset").copied().unwrap_or(Toolset::All);
    let toolset = if job()?.is_some() { Toolset::Worker } else { asked };
    let session = open(call.db, Caller::Agent)?;
    std::thread::scope(|scope| {
        let beside = session.clone();
        // A worker's server is one of many, and has its runner.
        if toolset == Toolset::All {
            scope.spawn(move || {
                if let Err(error) = ops::start_missing_runners(&beside) {
                    tracing::warn!(%error, "it cannot be told whether batches lack a runner");
                }
            });
        }
        mcp::serve(session, toolset)
    })?;
    Ok(0)
}

/// What is worth telling an operator; standard output belongs to the protocol.
fn log_to_stderr() {
    let usual = || Targets::new().with_target("tasktally", Level::WARN).with_target("rmcp", Level::ERROR);
    let told = std::env::var("TASKTALLY_LOG").ok().filter(|told| !told.is_empty());
    let filter = told.and_then(|told| told.parse().ok()).unwrap_or_else(usual);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
