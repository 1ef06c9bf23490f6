//! The disk: whether its file system works for SQLite, and how much space is free.

use super::context::DoctorContext;
use super::finding::Finding;
use crate::cli::open_store::is_network_disk_allowed;
use crate::cli::store_path::store_path;
use crate::config::{Config, Limits};
use crate::disk_space::{RESERVE, free_bytes};
use crate::error::Result;
use crate::file_system_type::{FileSystemSafety, file_system_type};
use crate::model::limits::MIB;
use crate::terminal::shell_path;

/// With less free space than this, in MiB, writes soon fail.
const MIN_FREE_MIB: u64 = RESERVE / MIB;

/// Whether the file system is a local one.
pub(super) fn check_file_system(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(kind) = file_system_type(&context.path) else {
        return Ok(vec![Finding::ok("this system does not report its type")]);
    };
    Ok(vec![match FileSystemSafety::of_type(&kind) {
        FileSystemSafety::Local => Finding::ok(format!("{kind}, a local disk")),
        FileSystemSafety::Shared => Finding::warning(format!(
            "{kind}, shared with the host of this machine: use the store from one side only, because file locks and the WAL index are not shared"
        )),
        FileSystemSafety::Network => {
            let message = format!(
                "{kind}, a network disk: file locks and the WAL index do not work across machines, so the store may be destroyed. Move it to a local disk"
            );
            // The risk is reported even if the operator has accepted it.
            let finding =
                if is_network_disk_allowed() { Finding::warning(message) } else { Finding::problem(message) };
            match command_to_move(context) {
                Some(command) => finding.with_fix(command),
                None => finding,
            }
        }
    }])
}

/// The command that moves the store to the user's data folder, if that is elsewhere and local.
fn command_to_move(context: &DoctorContext) -> Option<String> {
    let target = store_path(None).ok()?;
    let folder = target.parent()?;
    let is_local = file_system_type(folder)
        .is_none_or(|kind| FileSystemSafety::of_type(&kind) == FileSystemSafety::Local);
    if target == context.path || target.exists() || !is_local || !context.path.exists() {
        return None;
    }
    let (from, folder) = (shell_path(&context.path), shell_path(folder));
    Some(format!("umask 077 && mkdir -p {folder} && sqlite3 {from} \".backup {}\"", shell_path(&target)))
}

/// Whether enough space is free.
pub(super) fn check_free_space(context: &DoctorContext) -> Result<Vec<Finding>> {
    let folder = context.folder();
    let Some(existing) = folder.ancestors().find(|part| part.exists()) else { return Ok(Vec::new()) };
    let free = free_bytes(existing)? / MIB;
    // The check of the configuration reports one that cannot be read.
    let limits = Config::load(&[]).map_or_else(|_| Limits::default(), |config| config.limits().clone());
    let largest = format!("du -xsh {}/* | sort -h", shell_path(existing));
    Ok(vec![rate_free_space(free, limits.min_free_disk_mb, &largest)])
}

/// The finding for this much free space, in MiB.
fn rate_free_space(free: u64, min_for_workers: u64, fix: &str) -> Finding {
    if free < MIN_FREE_MIB {
        Finding::problem(format!("{free} MiB are free, less than {MIN_FREE_MIB}: writes will soon fail"))
            .with_fix(fix)
    } else if free < min_for_workers {
        Finding::warning(format!(
            "{free} MiB are free, less than limits.min_free_disk_mb = {min_for_workers}: no worker is started"
        ))
        .with_fix(fix)
    } else {
        Finding::ok(format!("{free} MiB are free"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn little_free_space_is_a_warning_and_almost_none_a_problem() {
        #[track_caller]
        fn check(free: u64, min_for_workers: u64, level: Level) {
            let finding = rate_free_space(free, min_for_workers, "du");
            assert_eq!((finding.level, finding.fix.is_some()), (level, level != Level::Ok), "{free}");
        }
        check(0, 512, Level::Problem);
        check(63, 0, Level::Problem);
        check(64, 512, Level::Warning);
        check(511, 512, Level::Warning);
        check(512, 512, Level::Ok);
        check(64, 0, Level::Ok);
    }
}
