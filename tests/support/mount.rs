//! A disk of a test's own.

use std::path::PathBuf;
use std::process::Command;

/// A folder mounted for the test; needs the right to mount, unmounts itself.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A disk in memory, of a size; none where the test may not mount.
    pub(crate) fn tmpfs(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Mount(folder))
    }

    /// Mounts it again with other options.
    pub(crate) fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(done.unwrap().success(), "remount {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
