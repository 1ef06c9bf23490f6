//! What runners left behind when they were killed, and removing it.

use std::collections::BTreeMap;
use std::path::Path;

use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use crate::cli::caller::Caller;
use crate::cli::open_store::open_for_writing;
use crate::error::Result;
use crate::terminal::shell_path;
use crate::work::leftovers::{Leftover, LeftoverKind, find_leftovers, remove_leftover};
use crate::work::worktree;

/// Whether runners left anything behind. Records of dead runners have a check of their own.
pub(super) fn check_leftovers(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(session) = context.session() else { return Ok(Vec::new()) };
    let mut by_kind: BTreeMap<&str, Vec<Leftover>> = BTreeMap::new();
    let mut findings = Vec::new();
    for leftover in
        find_leftovers(session)?.into_iter().filter(|leftover| leftover.kind != LeftoverKind::Runner)
    {
        match needs_a_person(&leftover) {
            Some(finding) => findings.push(finding),
            None => by_kind.entry(describe(leftover.kind)).or_default().push(leftover),
        }
    }
    findings.extend(by_kind.iter().filter_map(|(what, all)| {
        let first = all.first()?.path.display();
        let more = if all.len() > 1 { ", …" } else { "" };
        let message = format!("{what}: {} ({first}{more})", all.len());
        Some(Finding::warning(message).with_fix(context.command("doctor --fix")))
    }));
    Ok(or_ok(findings, "nothing"))
}

fn describe(kind: LeftoverKind) -> &'static str {
    match kind {
        LeftoverKind::Runner => "records of dead runners",
        LeftoverKind::Lock => "locks that no process holds",
        LeftoverKind::Log => "logs of runners whose batches ended more than a week ago",
        LeftoverKind::Job => "files of workers whose runner is dead",
        LeftoverKind::Worktree => "worktrees of chunks that have ended",
    }
}

/// The finding for a worktree that holds uncommitted changes: only a person can decide about them.
fn needs_a_person(leftover: &Leftover) -> Option<Finding> {
    if leftover.kind != LeftoverKind::Worktree {
        return None;
    }
    let folder = leftover.path.display();
    // Not `git status`: there, git would run what the worker or the repository wrote into its configuration.
    let command = format!("ls -la {}", shell_path(&leftover.path));
    match worktree::changes(&leftover.path) {
        Ok(files) if files.is_empty() => None,
        Ok(files) => {
            let message = format!(
                "{folder} belongs to a chunk that has ended, and holds uncommitted changes: {}",
                files.join(", ")
            );
            Some(Finding::warning(message).with_fix(command))
        }
        Err(error) => {
            Some(Finding::warning(format!("{folder} is not a worktree any more: {error}")).with_fix(command))
        }
    }
}

/// Removes what can be removed without a person, and returns a line for each leftover. It does nothing if there
/// is no store, or the store cannot be used: the checks report that.
///
/// # Errors
/// If the store cannot be opened for writing, or the leftovers cannot be listed.
pub(super) fn remove(db: Option<&Path>) -> Result<Vec<String>> {
    if DoctorContext::of(db, false)?.session().is_none() {
        return Ok(vec!["nothing was removed: there is no usable store here".to_owned()]);
    }
    let session = open_for_writing(db, Caller::Person)?;
    let mut lines = Vec::new();
    for leftover in find_leftovers(&session)? {
        let what = match leftover.kind {
            LeftoverKind::Runner => format!("the record of the runner of batch {}", leftover.batch),
            _ => format!("{} {}", leftover.kind, leftover.path.display()),
        };
        // An error on one leftover does not stop the others.
        lines.push(match remove_leftover(&session, &leftover) {
            Ok(None) => format!("removed {what}"),
            Ok(Some(reason)) => format!("kept {what}: {reason}"),
            Err(error) => format!("kept {what}: {error}"),
        });
    }
    Ok(lines)
}
