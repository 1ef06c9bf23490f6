//! The write-ahead log: whether the store uses one, and whether it is checkpointed.

use std::path::Path;

use super::context::{DoctorContext, StoreState};
use super::finding::Finding;
use crate::error::Result;
use crate::model::limits::MIB;
use crate::terminal::shell_path;

/// A larger WAL than this, in MiB, is not checkpointed as it should be: that happens at 16 MiB.
const LARGE_MIB: u64 = 64;
/// How many processes a message names.
const NAMED_PROCESSES: usize = 3;

/// Whether the store uses a WAL, and how large that is.
pub(super) fn check_wal(context: &DoctorContext) -> Result<Vec<Finding>> {
    let StoreState::Open(open) = &context.state else { return Ok(Vec::new()) };
    let facts = open.store.facts();
    // An empty file has none yet.
    if facts.schema == 0 {
        return Ok(Vec::new());
    }
    let path = context.beside("-wal");
    let size = path.metadata().map_or(0, |wal| wal.len());
    Ok(vec![if !facts.uses_wal && size == 0 {
        Finding::warning("the store does not use a WAL: another program has switched it off")
            .with_fix(context.command("list-tasks"))
    } else if size == 0 {
        Finding::ok("in use; everything in it is checkpointed")
    } else if size <= LARGE_MIB * MIB {
        Finding::ok(format!("in use; up to {} kB are not checkpointed yet", size.div_ceil(1024)))
    } else {
        large_wal(context, &path, size / MIB)
    }])
}

fn large_wal(context: &DoctorContext, path: &Path, mib: u64) -> Finding {
    let holders = processes_with_open(path);
    let Some((pid, _)) = holders.first() else {
        let message = format!("up to {mib} MiB are not checkpointed yet, and no process has the store open");
        return Finding::warning(message).with_fix(context.command("list-tasks"));
    };
    let named: Vec<String> =
        holders.iter().take(NAMED_PROCESSES).map(|(pid, name)| format!("{name} (process {pid})")).collect();
    let more = match holders.len().saturating_sub(NAMED_PROCESSES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let fix = match holders.len() {
        1 => format!("kill {pid}"),
        _ => format!("fuser -v {}", shell_path(path)),
    };
    Finding::warning(format!(
        "up to {mib} MiB are not checkpointed yet, because a process reads the store. These have it open: {}{more}. End the one that reads",
        named.join(", ")
    ))
    .with_fix(fix)
}

/// The other processes that have a file open, as far as this user may see: number and name.
#[cfg(target_os = "linux")]
fn processes_with_open(path: &Path) -> Vec<(i32, String)> {
    use crate::proc_fs::{open_files, process_ids, process_stat};
    let Ok(path) = std::fs::canonicalize(path) else { return Vec::new() };
    let own_pid = std::process::id().cast_signed();
    process_ids()
        .into_iter()
        .filter(|pid| *pid != own_pid && open_files(*pid).contains(&path))
        .map(|pid| (pid, process_stat(pid).map_or_else(|| "?".into(), |stat| stat.name)))
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn processes_with_open(_: &Path) -> Vec<(i32, String)> {
    Vec::new()
}
