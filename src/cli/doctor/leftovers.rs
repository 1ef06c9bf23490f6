//! What runners left behind, and clearing it.

use std::collections::BTreeMap;
use std::path::Path;

use super::context::{DoctorContext, Opened};
use super::finding::{Finding, or_ok};
use crate::cli::open::{Caller, open};
use crate::cli::shell::path_word;
use crate::error::Result;
use crate::work::leftovers::{Leftover, LeftoverKind, find_leftovers, remove_leftover};
use crate::work::worktree;

/// Whether anything was left behind; dead runners have a check of their own.
pub(super) fn leftovers(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(Opened { session, .. }) = context.opened() else { return Ok(Vec::new()) };
    let mut by_kind: BTreeMap<&str, Vec<Leftover>> = BTreeMap::new();
    let mut found = Vec::new();
    for left in find_leftovers(session)?.into_iter().filter(|left| left.kind != LeftoverKind::Runner) {
        match needs_a_person(&left) {
            Some(finding) => found.push(finding),
            None => by_kind.entry(told(left.kind)).or_default().push(left),
        }
    }
    found.extend(by_kind.iter().filter_map(|(what, all)| {
        let first = all.first()?.path.display();
        let more = if all.len() > 1 { ", …" } else { "" };
        Some(
            Finding::warning(format!("{what}: {} ({first}{more})", all.len()))
                .mend(context.command("doctor --mend")),
        )
    }));
    Ok(or_ok(found, "nothing"))
}

/// What of its kind was left.
fn told(kind: LeftoverKind) -> &'static str {
    match kind {
        LeftoverKind::Runner => "records of runners that have died",
        LeftoverKind::Lock => "locks that nobody holds, of batches that nobody works",
        LeftoverKind::Log => "logs of runners whose batches ended more than a week ago",
        LeftoverKind::Job => "jobs of workers whose runner has died",
        LeftoverKind::Worktree => "worktrees of chunks that have ended",
    }
}

/// A worktree with work in it that is in no commit.
fn needs_a_person(left: &Leftover) -> Option<Finding> {
    if left.kind != LeftoverKind::Worktree {
        return None;
    }
    let folder = left.path.display();
    let command = format!("git -C {} status", path_word(&left.path));
    match worktree::changes(&left.path) {
        Ok(files) if files.is_empty() => None,
        Ok(files) => {
            let what = format!(
                "{folder} holds changes that are in no commit, of a chunk that has ended: {}",
                files.join(", ")
            );
            Some(Finding::warning(what).mend(command))
        }
        Err(error) => {
            Some(Finding::warning(format!("{folder} is no worktree any more: {error}")).mend(command))
        }
    }
}

/// Clears what can be cleared without a person; says what was done. Where there is no store, or none that can be
/// worked with, nothing is made and nothing done: the checks tell of that.
///
/// # Errors
/// Where the store cannot be opened for writing, or what was left cannot be told.
pub(super) fn mend(db: Option<&Path>) -> Result<Vec<String>> {
    if DoctorContext::of(db, false)?.opened().is_none() {
        return Ok(vec![
            "nothing was cleared: there is no store here that can be worked with as it is".to_owned(),
        ]);
    }
    let session = open(db, Caller::Person)?;
    let mut said = Vec::new();
    for left in find_leftovers(&session)? {
        let what = match left.kind {
            LeftoverKind::Runner => format!("the record of the runner of batch {}", left.batch),
            _ => format!("{} {}", left.kind, left.path.display()),
        };
        // One that cannot be cleared keeps none of the others.
        said.push(match remove_leftover(&session, &left) {
            Ok(None) => format!("cleared {what}"),
            Ok(Some(why)) => format!("left {what}: {why}"),
            Err(error) => format!("left {what}: {error}"),
        });
    }
    Ok(said)
}
