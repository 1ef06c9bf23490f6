//! What Linux reports about processes in `/proc`; the formats are described in `proc(5)`.
//!
//! A process may end at any time, so a file that cannot be read is `None`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// The state of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// The name of its program, at most 15 bytes.
    pub(crate) name: String,
    /// One letter: `R` running, `S` sleeping, `T` stopped, `t` stopped by a debugger, `Z` zombie, …
    pub(crate) state: char,
    /// Its parent's process id.
    pub(crate) parent: i32,
    /// In clock ticks since the machine started.
    pub(crate) start_time: u64,
    /// Its resident memory, in pages.
    pub(crate) resident_pages: u64,
}

/// The ids of all processes that this one can see.
pub(crate) fn process_ids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The state of a process; `None` if it has ended.
pub(crate) fn process_stat(pid: i32) -> Option<ProcessStat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in parentheses and may contain any byte, also parentheses.
fn parse_stat(line: &[u8]) -> Option<ProcessStat> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let name = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
    let rest = String::from_utf8_lossy(line.get(close + 1..)?);
    // The first of these fields is the third of the line.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(ProcessStat {
        name,
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
        resident_pages: field(24)?.parse().ok()?,
    })
}

/// The paths of the files that a process has open, if this user may see them.
pub(crate) fn open_files(pid: i32) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

/// The process that holds a lock made with `flock` on the file with this inode number.
pub(crate) fn flock_holder(inode: u64) -> Option<i32> {
    find_flock_holder(&fs::read_to_string("/proc/locks").ok()?, inode)
}

/// Lines of waiting processes have an arrow after the number.
fn find_flock_holder(locks: &str, inode: u64) -> Option<i32> {
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (kind, _, _, pid, file) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_file = file.rsplit(':').next()?.parse() == Ok(inode);
        if kind == "FLOCK" && is_file { pid.parse().ok() } else { None }
    })
}

/// The memory that can be used without swapping, in bytes.
pub(crate) fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The signals that this process ignores: bit `n - 1` stands for signal `n`.
pub(crate) fn ignored_signals() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// The path of this process's control group (version 2), below the mount point.
pub(crate) fn own_control_group() -> Option<String> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// The memory that this process's control groups leave it, in bytes: the least of its own group and those above it.
/// `None` if none of them has a limit.
pub(crate) fn available_memory_of_control_groups() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let groups = text.lines().filter_map(|line| {
        let (_, controllers_and_path) = line.split_once(':')?;
        let (controllers, path) = controllers_and_path.split_once(':')?;
        let is_v1 = controllers.split(',').any(|controller| controller == "memory");
        (is_v1 || controllers.is_empty()).then_some((is_v1, path))
    });
    groups
        .flat_map(|(is_v1, path)| {
            let mounts = mount_points(if is_v1 { "cgroup" } else { "cgroup2" });
            mounts.into_iter().filter_map(move |mount| {
                // In a container, the mount shows its own group as the root, and the path is the host's.
                let own = mount.join(path.trim_start_matches('/'));
                own.ancestors().take_while(|group| group.starts_with(&mount)).filter_map(free_memory_of).min()
            })
        })
        .min()
}

/// The limit of a control group on memory, less what it uses; what it only caches from files counts as free. Version 2,
/// else version 1.
fn free_memory_of(group: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, used, cache) = match number("memory.max") {
        Some(limit) => (limit, number("memory.current")?, "inactive_file "),
        None => (number("memory.limit_in_bytes")?, number("memory.usage_in_bytes")?, "total_inactive_file "),
    };
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or_default())))
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// Its type.
    pub(crate) file_system: String,
}

/// The file systems that this process sees, in the order in which they were mounted.
pub(crate) fn mounts() -> Vec<Mount> {
    parse_mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// Where file systems of a type are mounted.
pub(crate) fn mount_points(file_system: &str) -> Vec<PathBuf> {
    let mounts = mounts().into_iter().filter(|mount| mount.file_system == file_system);
    mounts.map(|mount| mount.point).collect()
}

/// Whether something is mounted at this path, which has no symbolic links.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    mounts().iter().any(|mount| mount.point == path)
}

/// The mounts in the text of `/proc/self/mountinfo`: the fifth field of a line is the mount point. The type follows the
/// first field that is a lone `-`.
pub(crate) fn parse_mounts(text: &str) -> Vec<Mount> {
    let mounts = text.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let file_system = source.split(' ').next()?.to_owned();
        Some(Mount { point: unescape(mount.split(' ').nth(4)?), file_system })
    });
    mounts.collect()
}

/// Spaces, tabs, line ends and backslashes are written as three octal digits after a backslash.
fn unescape(path: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped.filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        fn check(name: &str) {
            let line = format!(
                "42 ({name}) T 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 8192 321 18446744073709551615 1"
            );
            let stat = parse_stat(line.as_bytes()).unwrap();
            assert_eq!((stat.name.as_str(), stat.state, stat.parent), (name, 'T', 7));
            assert_eq!((stat.start_time, stat.resident_pages), (123_456, 321));
        }
        check("sh");
        check("a b");
        check(") R 1 (");
        check("");
    }

    #[test]
    fn a_line_that_is_cut_is_no_state() {
        assert_eq!(parse_stat(b"42 (sh) T 7 42"), None);
        assert_eq!(parse_stat(b"42 (sh"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn this_process_is_found_with_its_parent() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(process_ids().contains(&pid));
        let stat = process_stat(pid).unwrap();
        assert_eq!(Some(stat.parent), rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get()));
        assert!(stat.resident_pages > 0 && stat.start_time > 0);
        assert!(available_memory().unwrap() > 0);
    }

    #[test]
    fn the_holder_of_a_lock_is_not_a_process_that_waits() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fd:01:99 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 fd:01:99 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 fd:01:98 0 EOF\n\
                     3: FLOCK  ADVISORY  READ  14 fd:01:98 0 EOF\n";
        assert_eq!(find_flock_holder(locks, 99), Some(12));
        assert_eq!(find_flock_holder(locks, 98), Some(14));
        assert_eq!(find_flock_holder(locks, 1), None);
    }

    #[test]
    fn the_free_memory_of_a_control_group_is_its_limit_less_what_it_uses_without_caches() {
        #[track_caller]
        fn check(files: &[(&str, &str)], free: Option<u64>) {
            let group = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(group.path().join(name), format!("{text}\n")).unwrap();
            }
            assert_eq!(free_memory_of(group.path()), free, "{files:?}");
        }
        let stat = ("memory.stat", "anon 5\ninactive_file 300\nactive_file 7");
        check(&[("memory.max", "1000"), ("memory.current", "600"), stat], Some(700));
        check(&[("memory.max", "1000"), ("memory.current", "600")], Some(400));
        check(&[("memory.max", "1000"), ("memory.current", "1400")], Some(0));
        check(&[("memory.max", "max"), ("memory.current", "600")], None);
        check(&[], None);
        let stat = ("memory.stat", "inactive_file 9\ntotal_inactive_file 100");
        check(&[("memory.limit_in_bytes", "1000"), ("memory.usage_in_bytes", "600"), stat], Some(500));
        // Version 1 has a huge number instead of no limit.
        let none = ("memory.limit_in_bytes", "9223372036854771712");
        assert!(free_memory_of(Path::new("/nowhere")).is_none());
        check(&[none, ("memory.usage_in_bytes", "712")], Some(9_223_372_036_854_771_000));
    }

    #[test]
    fn mount_points_are_unescaped() {
        let line = r"36 35 98:0 / /mnt/a\040b\134c rw,noatime master:1 - cgroup2 none rw";
        let mount = Mount { point: r"/mnt/a b\c".into(), file_system: "cgroup2".into() };
        assert_eq!(parse_mounts(line), [mount]);
        assert_eq!(parse_mounts("36 35 98:0 / /mnt rw"), []);
    }
}
