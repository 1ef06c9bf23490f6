//! The sandbox of a worker: `tasktally sandbox-exec` restricts itself and becomes the worker's command. The kernel keeps the
//! restriction for everything that the command starts.
//!
//! A process of its own is needed: the runner must not be restricted, and nothing may run between `fork` and `exec` in a
//! program without unsafe code.

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod landlock_rules;
mod private_tmp;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::config::Sandbox;
use crate::error::{Error, Result};
use crate::open_without_links::first_link;
use crate::work::inherited_descriptors::close_inherited_descriptors;

pub(super) use private_tmp::PrivateTmp;

/// The name of the command that starts a worker in a sandbox.
pub const SANDBOX_EXEC: &str = "sandbox-exec";

/// Checks that this system can enforce a sandbox.
///
/// # Errors
/// `invalid_argument` with what is missing.
#[cfg(target_os = "linux")]
pub(super) fn check_supported(network: bool) -> Result<()> {
    landlock_rules::check_supported(network).map_err(Error::invalid)
}

/// Checks that this system can enforce a sandbox.
///
/// # Errors
/// `invalid_argument` with what is missing.
#[cfg(not(target_os = "linux"))]
pub(super) fn check_supported(_network: bool) -> Result<()> {
    Err(Error::invalid("it needs Linux with Landlock, and this system is another one; remove the setting"))
}

/// Checks the paths of a sandbox that exist already.
///
/// # Errors
/// `invalid_argument` with the first path that leads through a link.
pub(super) fn check_paths(sandbox: &Sandbox) -> Result<()> {
    let paths = sandbox.write.iter().chain(sandbox.read.iter().flatten());
    paths.filter_map(|path| link_refusal(path)).next().map_or(Ok(()), |why| Err(Error::invalid(why)))
}

/// Why a path that leads through a link cannot be used; `None` if it does not.
fn link_refusal(path: &Path) -> Option<String> {
    let link = first_link(path)?;
    let (path, link) = (path.display(), link.display());
    Some(format!(
        "{path} leads through the link {link}, which a worker could have made; if the link is yours, write the path that it leads to, else remove it and check what the workers before did"
    ))
}

/// The arguments with which this program starts a command in a sandbox. The error says why there are none.
pub(super) fn arguments(
    sandbox: &Sandbox,
    command: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, String> {
    let sandbox =
        serde_json::to_string(sandbox).map_err(|error| format!("its sandbox has a bad path: {error}"))?;
    let own = [OsString::from(SANDBOX_EXEC), sandbox.into(), "--".into()];
    Ok(own.into_iter().chain(command).collect())
}

/// Restricts this process and becomes the command. Returns only if that fails.
///
/// # Errors
/// The sandbox cannot be enforced, or the command cannot be started. The command does not run in either case.
pub fn run_in_sandbox(sandbox: &str, command: &[OsString]) -> Error {
    match try_run(sandbox, command) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_run(sandbox: &str, command: &[OsString]) -> Result<std::convert::Infallible> {
    let sandbox: Sandbox = serde_json::from_str(sandbox)
        .map_err(|error| Error::invalid(format!("the sandbox cannot be read: {error}")))?;
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::invalid("the command is empty"));
    };
    close_inherited_descriptors()
        .map_err(|error| format!("inherited file descriptors cannot be listed: {error}"))
        .and_then(|()| restrict(&sandbox, program))
        .map_err(|why| {
            Error::invalid(format!("the sandbox cannot be enforced, so the worker was not started: {why}"))
        })?;
    let error = Command::new(program).args(arguments).exec();
    Err(Error::invalid(format!("'{}' cannot be started in its sandbox: {error}", program.display())))
}

#[cfg(target_os = "linux")]
fn restrict(sandbox: &Sandbox, program: &OsStr) -> Result<(), String> {
    landlock_rules::restrict(sandbox, program)?;
    capabilities::drop_system_rights()
}

#[cfg(not(target_os = "linux"))]
fn restrict(_sandbox: &Sandbox, _program: &OsStr) -> Result<(), String> {
    Err("this system has no Landlock".to_owned())
}
