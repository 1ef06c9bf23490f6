//! What the servers of MCP clients give access to.

use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use crate::cli::init::entries::client_entries;
use crate::error::Result;

/// Names the servers in the clients' files that see the tasks of all projects.
pub(super) fn check_clients(_: &DoctorContext) -> Result<Vec<Finding>> {
    let entries = client_entries();
    let unlimited = entries.iter().filter(|entry| !entry.is_limited).map(|entry| {
        let message = format!(
            "{}: the server that {} starts by this file sees and changes the tasks of all projects",
            entry.path.display(),
            entry.client
        );
        // A file of the user serves all of the user's projects, which is what most users want.
        if entry.is_of_project {
            Finding::warning(message).with_fix(entry.limiting_command.clone())
        } else {
            Finding::ok(format!("{message}; {} limits it to one", entry.limiting_command))
        }
    });
    let ok = if entries.is_empty() {
        "no client's file here or in the home folder starts a server"
    } else {
        "each server in the files of clients is limited to a project"
    };
    Ok(or_ok(unlimited.collect(), ok))
}
