//! Small file systems that a test mounts, fills, breaks and unmounts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::skip;

/// A file system mounted on a folder; unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A file system in memory, of a size such as `16m`. None, and the test is skipped, without the right to mount.
    #[track_caller]
    pub(crate) fn tmpfs(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let options = format!("size={size}");
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder));
        or_skip(mounted.map(|()| Mount(folder)))
    }

    /// A file that is also mounted at `at`, where an empty file is created, as `docker -v FILE:FILE` does. None, and
    /// the test is skipped, without the right to mount.
    #[track_caller]
    pub(crate) fn bind_file(file: &Path, at: PathBuf) -> Option<Self> {
        File::create(&at).unwrap();
        Mount::bind(file, at)
    }

    /// A folder that is also mounted at `at`, which is created.
    #[track_caller]
    pub(crate) fn bind_folder(folder: &Path, at: PathBuf) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        Mount::bind(folder, at)
    }

    #[track_caller]
    fn bind(from: &Path, at: PathBuf) -> Option<Self> {
        let mounted = run(Command::new("mount").arg("--bind").arg(from).arg(&at));
        or_skip(mounted.map(|()| Mount(at)))
    }

    /// An ext4 file system on an image file that turns read-only on an error. None, and the test is skipped,
    /// without the right to mount, e2fsprogs, or a kernel that can trigger the error.
    #[track_caller]
    pub(crate) fn ext4(folder: PathBuf, image: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        File::create(image).unwrap().set_len(bytes).unwrap();
        let mounted = run(Command::new("mkfs.ext4").arg("-q").arg(image))
            .and_then(|()| mount_image(image, &folder))
            .and_then(|()| {
                let disk = Mount(folder);
                let trigger = disk.error_trigger();
                if trigger.exists() { Ok(disk) } else { Err(format!("no {}", trigger.display())) }
            });
        or_skip(mounted)
    }

    /// Makes the ext4 file system report an error in itself.
    pub(crate) fn trigger_error(&self) {
        std::fs::write(self.error_trigger(), "1").unwrap();
    }

    fn error_trigger(&self) -> PathBuf {
        let source = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&self.0).output().unwrap();
        let source = String::from_utf8(source.stdout).unwrap();
        Path::new("/sys/fs/ext4").join(source.trim().trim_start_matches("/dev/")).join("trigger_fs_error")
    }

    /// Unmounts a file system that no process uses any more, repairs it as a person would, and mounts it again.
    pub(crate) fn repair(&self, image: &Path) {
        assert!(
            Command::new("umount").arg(&self.0).status().unwrap().success(),
            "a process still uses the file system"
        );
        let checked = Command::new("e2fsck").arg("-p").arg(image).output().unwrap();
        // 1: errors were repaired.
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        mount_image(image, &self.0).unwrap();
    }

    /// Remounts it with other options.
    pub(crate) fn remount(&self, options: &str) {
        assert!(self.try_remount(options), "remount {options}");
    }

    /// Remounts it with other options; returns whether the kernel allowed it.
    pub(crate) fn try_remount(&self, options: &str) -> bool {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).output();
        done.unwrap().status.success()
    }
}

fn mount_image(image: &Path, folder: &Path) -> Result<(), String> {
    run(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(image).arg(folder))
}

/// Runs a command; the error is what it printed.
fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
        Err(error) => Err(format!("{}: {error}", command.get_program().to_string_lossy())),
    }
}

#[track_caller]
fn or_skip(mounted: Result<Mount, String>) -> Option<Mount> {
    mounted.map_err(|error| skip(&format!("no file system can be mounted: {error}"))).ok()
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
