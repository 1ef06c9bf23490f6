//! The type of the file system that contains a store. In WAL mode all processes share an index in memory and file
//! locks. A network file system provides neither of them across machines.

use std::path::Path;

#[cfg(target_os = "linux")]
use crate::proc_fs::Mount;

/// Types of network file systems, as the kernel names them.
const NETWORK: [&str; 18] = [
    "afs",
    "afp",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "rclone",
    "s3fs",
    "gcsfuse",
    "smb3",
    "smbfs",
    "smbnetfs",
    "sshfs",
];

/// Types that a virtual machine shares with its host. They are safe as long as only one of the two uses the store.
const SHARED: [&str; 5] = ["9p", "prl_fs", "vboxsf", "virtiofs", "vmhgfs-fuse"];

/// Whether a store is safe on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystemSafety {
    /// A local disk, or an unknown file system.
    Local,
    /// Shared with the host of this virtual machine.
    Shared,
    /// A disk that is shared with other machines. Two machines that write at once may corrupt the store.
    Network,
}

impl FileSystemSafety {
    /// The safety of a type of file system.
    pub fn of_type(kind: &str) -> Self {
        let kind = kind.strip_prefix("fuse.").unwrap_or(kind);
        if NETWORK.contains(&kind) {
            FileSystemSafety::Network
        } else if SHARED.contains(&kind) {
            FileSystemSafety::Shared
        } else {
            FileSystemSafety::Local
        }
    }
}

/// The type of the file system that contains a path, if the kernel reports it. For a path that does not exist yet:
/// the type for the folder that would contain it.
#[cfg(target_os = "linux")]
pub fn file_system_type(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let real = path.ancestors().find_map(|part| std::fs::canonicalize(part).ok())?;
    // Not `statfs`: its type number is the same for all FUSE file systems.
    kind_among(crate::proc_fs::mounts(), &real)
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub fn file_system_type(_: &Path) -> Option<String> {
    None
}

/// The file system type of the mount that contains a real path.
#[cfg(target_os = "linux")]
fn kind_among(mounts: Vec<Mount>, real: &Path) -> Option<String> {
    let around = mounts.into_iter().filter(|mount| real.starts_with(&mount.point));
    // Of the deepest ones the last: a later mount at the same path covers the earlier one.
    around.max_by_key(|mount| mount.point.components().count()).map(|mount| mount.file_system)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::proc_fs::parse_mounts;

    const MOUNTS: &str = "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw
30 22 0:20 / /home rw - nfs4 box:/home rw
31 30 0:21 / /home/me/far\\040away rw - fuse.sshfs me@box: rw
32 22 0:22 / /mnt rw master:1 - tmpfs tmpfs rw
33 22 0:23 / /mnt rw - cifs //box/share rw
34 22 0:24 / /host rw - 9p host rw
";

    #[test]
    fn the_deepest_and_latest_mount_says_what_a_path_lies_on() {
        #[track_caller]
        fn check(path: &str, kind: &str, safety: FileSystemSafety) {
            assert_eq!(kind_among(parse_mounts(MOUNTS), Path::new(path)).as_deref(), Some(kind), "{path}");
            assert_eq!(FileSystemSafety::of_type(kind), safety, "{kind}");
        }
        check("/var/lib/tasktally.db", "ext4", FileSystemSafety::Local);
        check("/homes/tasktally.db", "ext4", FileSystemSafety::Local);
        check("/home/me/tasktally.db", "nfs4", FileSystemSafety::Network);
        check("/home/me/far away/tasktally.db", "fuse.sshfs", FileSystemSafety::Network);
        check("/mnt/tasktally.db", "cifs", FileSystemSafety::Network);
        check("/host/tasktally.db", "9p", FileSystemSafety::Shared);
    }

    #[test]
    fn a_list_that_is_none_says_nothing() {
        assert_eq!(kind_among(parse_mounts("nothing of the kind"), Path::new("/")), None);
        assert_eq!(kind_among(parse_mounts(""), Path::new("/")), None);
    }
}
