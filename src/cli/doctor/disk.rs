//! The disk beneath: a file system that keeps what SQLite relies on, and room.

use super::context::DoctorContext;
use super::finding::Finding;
use crate::cli::open::{is_network_allowed, store_path};
use crate::cli::shell::path_word;
use crate::config::{Config, Limits};
use crate::error::Result;
use crate::file_system::{Safety, kind_of};
use crate::work::free_disk_mb;

/// With less than this free, in MiB, writes fail before long: the log alone may need as much.
const SCARCE: u64 = 64;

/// Whether the file system is a local one.
pub(super) fn file_system(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(kind) = kind_of(&context.path) else {
        return Ok(vec![Finding::ok("this system does not tell which it is")]);
    };
    Ok(vec![match Safety::of(&kind) {
        Safety::Local => Finding::ok(format!("{kind}, a local disk")),
        Safety::Shared => Finding::warning(format!(
            "{kind}, shared with the host of this machine: keep to one side, for locks and the log's index are not shared"
        )),
        Safety::Network => {
            let why = format!(
                "{kind}, a network disk: locks and the log's index do not hold across machines, so the store may be destroyed. Keep it on a local disk"
            );
            // What the operator has allowed is told all the same.
            let finding = if is_network_allowed() { Finding::warning(why) } else { Finding::problem(why) };
            match move_away(context) {
                Some(command) => finding.mend(command),
                None => finding,
            }
        }
    }])
}

/// Where the user's own data folder is another place, the store can be moved there.
fn move_away(context: &DoctorContext) -> Option<String> {
    let to = store_path(None).ok()?;
    let folder = to.parent()?;
    let is_local = kind_of(folder).is_none_or(|kind| Safety::of(&kind) == Safety::Local);
    if to == context.path || to.exists() || !is_local || !context.path.exists() {
        return None;
    }
    let (from, into) = (path_word(&context.path), path_word(folder));
    Some(format!("umask 077 && mkdir -p {into} && sqlite3 {from} \".backup {}\"", path_word(&to)))
}

/// Whether there is room.
pub(super) fn room(context: &DoctorContext) -> Result<Vec<Finding>> {
    let folder = context.folder();
    let Some(there) = folder.ancestors().find(|part| part.exists()) else { return Ok(Vec::new()) };
    let free = free_disk_mb(there)?;
    // A configuration that cannot be read is told of elsewhere.
    let limits = Config::load(&[]).map_or_else(|_| Limits::default(), |config| config.limits().clone());
    Ok(vec![judge(free, limits.min_free_disk_mb, &format!("du -xsh {}/* | sort -h", path_word(there)))])
}

/// What so much free room, in MiB, comes to.
fn judge(free: u64, for_workers: u64, mend: &str) -> Finding {
    if free < SCARCE {
        Finding::problem(format!("{free} MiB are free, less than {SCARCE}: writes are about to fail"))
            .mend(mend)
    } else if free < for_workers {
        Finding::warning(format!(
            "{free} MiB are free, less than limits.min_free_disk_mb {for_workers}: no worker is started"
        ))
        .mend(mend)
    } else {
        Finding::ok(format!("{free} MiB are free"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn little_room_is_a_warning_and_next_to_none_a_problem() {
        #[track_caller]
        fn check(free: u64, for_workers: u64, level: Level) {
            let found = judge(free, for_workers, "du");
            assert_eq!((found.level, found.mend.is_some()), (level, level != Level::Ok), "{free}");
        }
        check(0, 512, Level::Problem);
        check(63, 0, Level::Problem);
        check(64, 512, Level::Warning);
        check(511, 512, Level::Warning);
        check(512, 512, Level::Ok);
        check(64, 0, Level::Ok);
    }
}
