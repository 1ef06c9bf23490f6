//! A disk of a test's own.

use std::fs::File;
use std::path::{Path, PathBuf};
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

    /// A real file system on a file, that becomes read-only when it finds an error in itself; none where
    /// the test may not mount it, has not the tools, or cannot make that error.
    pub(crate) fn ext4(folder: PathBuf, image: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        File::create(image).unwrap().set_len(bytes).unwrap();
        let made = Command::new("mkfs.ext4").arg("-q").arg(image).status();
        if !made.is_ok_and(|made| made.success()) || !mount_image(image, &folder) {
            return None;
        }
        let disk = Mount(folder);
        disk.error_knob().exists().then_some(disk)
    }

    /// Lets the file system find an error in itself.
    pub(crate) fn break_it(&self) {
        std::fs::write(self.error_knob(), "1").unwrap();
    }

    fn error_knob(&self) -> PathBuf {
        let source = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&self.0).output().unwrap();
        let source = String::from_utf8(source.stdout).unwrap();
        Path::new("/sys/fs/ext4").join(source.trim().trim_start_matches("/dev/")).join("trigger_fs_error")
    }

    /// Mends a file system that nobody uses any more, as a person would, and mounts it again.
    pub(crate) fn mend(&self, image: &Path) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success(), "somebody still uses it");
        let checked = Command::new("e2fsck").arg("-p").arg(image).output().unwrap();
        // 1: errors were mended.
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        assert!(mount_image(image, &self.0));
    }

    /// Mounts it again with other options.
    pub(crate) fn remount(&self, options: &str) {
        assert!(self.try_remount(options), "remount {options}");
    }

    /// The same; whether it could be.
    pub(crate) fn try_remount(&self, options: &str) -> bool {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).output();
        done.unwrap().status.success()
    }
}

fn mount_image(image: &Path, folder: &Path) -> bool {
    let mounted =
        Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(image).arg(folder).output();
    mounted.is_ok_and(|done| done.status.success())
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
