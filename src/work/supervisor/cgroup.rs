//! Control groups (version 2), where they can be written to: whatever a worker does, it stays in its
//! keeper's group, so that who takes over finds it even if runner and keeper were killed at once.

use std::fs;
use std::path::{Path, PathBuf};

use procfs::process::Process;

/// How many folders are looked into for groups at the most.
const MOST_FOLDERS: usize = 10_000;

fn name(mark: &str, pid: u32) -> String {
    format!("tasktally-{mark}-{pid}")
}

/// Where control groups are mounted, if they are.
fn mounted() -> Vec<PathBuf> {
    let mounts = Process::myself().and_then(|process| process.mountinfo());
    let Ok(mounts) = mounts else { return Vec::new() };
    mounts.into_iter().filter(|mount| mount.fs_type == "cgroup2").map(|mount| mount.mount_point).collect()
}

/// Moves this process to a group of its own, beneath the one that it is in. Without the right to do so
/// it stays where it is.
pub(super) fn enter(mark: &str) {
    let groups = Process::myself().and_then(|process| process.cgroups());
    let Some(own) = groups.ok().and_then(|groups| groups.into_iter().find(|group| group.hierarchy == 0))
    else {
        return;
    };
    for mount in mounted() {
        let group = mount.join(own.pathname.trim_start_matches('/')).join(name(mark, std::process::id()));
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

/// Removes the group of a keeper that has ended.
pub(super) fn leave(mark: &str, pid: u32) {
    let wanted = name(mark, pid);
    for group in found(|group| group == wanted) {
        fs::remove_dir(group).ok();
    }
}

/// Kills all that is in the groups of a runner's keepers, and removes those that are empty; gives how many
/// held anything.
pub(super) fn kill(mark: &str) -> usize {
    let wanted = name(mark, 0);
    let wanted = wanted.trim_end_matches('0');
    let mut killed = 0;
    for group in found(|group| group.starts_with(wanted)) {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        if members.trim().is_empty() {
            fs::remove_dir(&group).ok();
        } else if fs::write(group.join("cgroup.kill"), "1").is_ok() {
            killed += members.lines().count();
        }
    }
    killed
}

fn found(is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in mounted() {
        let (mut open, mut looked) = (vec![mount], 0);
        while let Some(folder) = open.pop().filter(|_| looked < MOST_FOLDERS) {
            looked += 1;
            for group in folders(&folder) {
                match group.file_name().and_then(|name| name.to_str()) {
                    Some(name) if is_wanted(name) => found.push(group),
                    _ => open.push(group),
                }
            }
        }
    }
    found
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}
