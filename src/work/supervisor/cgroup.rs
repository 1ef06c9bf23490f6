//! Control groups (cgroup v2), if this process may write to them. A process cannot leave its group by forking or by
//! clearing its environment, so the next runner finds what is left even if runner and supervisor process were both
//! killed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::proc_fs;

/// How many folders are searched for groups.
const MAX_SEARCHED_FOLDERS: usize = 10_000;

fn group_prefix(run_marker: &str) -> String {
    format!("tasktally-{run_marker}-")
}

fn group_name(run_marker: &str, pid: u32) -> String {
    format!("{}{pid}", group_prefix(run_marker))
}

fn mount_points() -> Vec<PathBuf> {
    proc_fs::mount_points("cgroup2")
}

/// Creates a group below the current one and moves this process into it. Without the permission, the process stays
/// where it is.
pub(super) fn enter_new_group(run_marker: &str) {
    let Some(current) = proc_fs::own_control_group() else { return };
    for mount in mount_points() {
        let group =
            mount.join(current.trim_start_matches('/')).join(group_name(run_marker, std::process::id()));
        let entered = fs::create_dir(&group).and_then(|()| fs::write(group.join("cgroup.procs"), "0"));
        match entered {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(%error, group = %group.display(), "no control group");
                fs::remove_dir(&group).ok();
            }
        }
    }
}

/// Removes the group of a supervisor process that has exited.
pub(super) fn remove_group(run_marker: &str, pid: u32) {
    let name = group_name(run_marker, pid);
    for group in find_groups(|found| found == name) {
        fs::remove_dir(group).ok();
    }
}

/// Kills every process in the groups of a runner's supervisor processes, and removes the groups that are empty.
/// Returns how many processes were killed.
pub(super) fn kill_groups(run_marker: &str) -> usize {
    let prefix = group_prefix(run_marker);
    let mut killed = 0;
    for group in find_groups(|found| found.starts_with(&prefix)) {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        if members.trim().is_empty() {
            fs::remove_dir(&group).ok();
        } else if fs::write(group.join("cgroup.kill"), "1").is_ok() {
            killed += members.lines().count();
        }
    }
    killed
}

fn find_groups(matches: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in mount_points() {
        let (mut pending, mut searched) = (vec![mount], 0);
        while let Some(folder) = pending.pop().filter(|_| searched < MAX_SEARCHED_FOLDERS) {
            searched += 1;
            for group in subfolders(&folder) {
                match group.file_name().and_then(|name| name.to_str()) {
                    Some(name) if matches(name) => found.push(group),
                    _ => pending.push(group),
                }
            }
        }
    }
    found
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}
