//! The write-ahead log: kept, and folded into the store now and then.

use std::path::Path;

use super::context::{DoctorContext, Found};
use super::finding::Finding;
use crate::cli::shell::path_word;
use crate::error::Result;
use crate::model::limits::MIB;

/// A log larger than this, in MiB, is not folded as it should be: it is at 16.
const LARGE: u64 = 64;
/// How many processes are named.
const MOST: usize = 3;

/// Whether the log is kept, and how much waits in it.
pub(super) fn log(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Found::Open(opened) = &context.found else { return Ok(Vec::new()) };
    // An empty file keeps none yet.
    if opened.store.facts().schema == 0 {
        return Ok(Vec::new());
    }
    let path = context.beside("-wal");
    let size = path.metadata().map_or(0, |log| log.len());
    if !opened.store.facts().keeps_log && size == 0 {
        return Ok(vec![
            Finding::warning("the store keeps no write-ahead log: some other program has switched it off")
                .mend(context.command("list-tasks")),
        ]);
    }
    if size == 0 {
        return Ok(vec![Finding::ok("kept; nothing waits to be folded into the store")]);
    }
    if size <= LARGE * MIB {
        return Ok(vec![Finding::ok(format!("{} kB wait to be folded into the store", size.div_ceil(1024)))]);
    }
    let waits = format!("{} MiB wait to be folded into the store, for as long as somebody reads", size / MIB);
    let holders = holders(&path);
    Ok(vec![match holders.first() {
        None => Finding::warning(format!(
            "{} MiB wait to be folded into the store; nobody has it open",
            size / MIB
        ))
        .mend(context.command("list-tasks")),
        Some((pid, _)) => {
            let named: Vec<String> =
                holders.iter().take(MOST).map(|(pid, name)| format!("{name} (process {pid})")).collect();
            let more = holders.len().saturating_sub(MOST);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Finding::warning(format!(
                "{waits}. It is open in {}{more}: end the one that reads",
                named.join(", ")
            ))
            .mend(if holders.len() == 1 {
                format!("kill {pid}")
            } else {
                format!("fuser -v {}", path_word(&path))
            })
        }
    }])
}

/// The processes, of those that this user may look at, that have a file open: number and name.
#[cfg(target_os = "linux")]
fn holders(path: &Path) -> Vec<(i32, String)> {
    let Ok(path) = std::fs::canonicalize(path) else { return Vec::new() };
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    let me = std::process::id().cast_signed();
    let has_it_open = |process: &procfs::process::Process| {
        let Ok(mut files) = process.fd() else { return false };
        files.any(|file| {
            matches!(file.map(|file| file.target), Ok(procfs::process::FDTarget::Path(open)) if open == path)
        })
    };
    processes
        .flatten()
        .filter(|process| process.pid != me && has_it_open(process))
        .map(|process| (process.pid, process.stat().map_or_else(|_| "?".into(), |stat| stat.comm)))
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn holders(_: &Path) -> Vec<(i32, String)> {
    Vec::new()
}
