//! What a command that is not an operation consists of.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, FromArgMatches};

use super::caller::Caller;
use super::open_store::{open, worker_scope};
use super::store_path::{existing_store_path, store_path};
use crate::error::{Error, Result};
use crate::ops::Session;

/// One call of a command.
pub(super) struct Invocation<'a> {
    pub(super) matches: &'a ArgMatches,
    /// The value of `--db`.
    pub(super) db: Option<&'a Path>,
    pub(super) json: bool,
    pub(super) out: &'a mut dyn Write,
}

impl Invocation<'_> {
    /// The command's own arguments.
    pub(super) fn arguments<A: FromArgMatches>(&self) -> Result<A> {
        A::from_arg_matches(self.matches).map_err(|error| Error::invalid(error.to_string()))
    }

    /// The path of the store, which need not exist.
    pub(super) fn store_path(&self) -> Result<PathBuf> {
        store_path(self.db)
    }

    /// The path of the store, which must exist.
    pub(super) fn existing_store_path(&self) -> Result<PathBuf> {
        existing_store_path(self.db)
    }

    /// Opens the store, and creates it if it does not exist.
    pub(super) fn open(&self) -> Result<Session> {
        open(self.db, Caller::Person)
    }

    /// Opens the store for a command that only reads: it must not create a store.
    pub(super) fn open_existing(&self) -> Result<Session> {
        self.existing_store_path()?;
        self.open()
    }
}

/// A command that is not an operation.
pub(super) struct Subcommand {
    name: &'static str,
    about: &'static str,
    arguments: fn(Command) -> Command,
    /// Whether a background worker may run it.
    for_workers: bool,
    /// Whether the help leaves it out.
    hidden: bool,
    run: fn(Invocation<'_>) -> Result<u8>,
}

impl Subcommand {
    /// A command for people and scripts, not for background workers.
    pub(super) const fn new(
        name: &'static str,
        about: &'static str,
        arguments: fn(Command) -> Command,
        run: fn(Invocation<'_>) -> Result<u8>,
    ) -> Self {
        Subcommand { name, about, arguments, for_workers: false, hidden: false, run }
    }

    /// The same command, which background workers may run as well.
    pub(super) const fn for_workers_too(self) -> Self {
        Subcommand { for_workers: true, ..self }
    }

    /// The same command, which the program runs for itself and the help leaves out.
    pub(super) const fn internal(self) -> Self {
        Subcommand { for_workers: true, hidden: true, ..self }
    }

    /// The command's name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The command with its arguments, for the parser.
    pub(super) fn command(&self) -> Command {
        (self.arguments)(Command::new(self.name)).about(self.about).hide(self.hidden)
    }

    /// Runs the command and returns the exit code.
    ///
    /// # Errors
    /// What the command fails with. A background worker is refused every command that is not for workers.
    pub(super) fn run(&self, invocation: Invocation<'_>) -> Result<u8> {
        if !self.for_workers && worker_scope()?.is_some() {
            return Err(Error::invalid(format!(
                "{}: TASKTALLY_JOB is set, and a background worker must not run this command; unset the variable if this is not a worker",
                self.name
            )));
        }
        (self.run)(invocation)
    }
}
