//! The folder that a worker is started in. An earlier worker may have replaced it, or a folder above it, by a link.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::open_without_links::open_without_links;

/// A folder that may be entered, but not listed, can be opened only with `O_PATH`, which Linux alone has.
#[cfg(target_os = "linux")]
const ACCESS: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const ACCESS: OFlags = OFlags::RDONLY;

/// An open folder. A process that starts in it gets this folder, whatever its path leads to meanwhile.
pub(super) struct WorkingDir {
    folder: OwnedFd,
    path: PathBuf,
}

impl WorkingDir {
    /// The path to start a process in.
    pub(super) fn path(&self) -> PathBuf {
        if cfg!(target_os = "linux") {
            // The kernel resolves this name to the open folder.
            PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()))
        } else {
            self.path.clone()
        }
    }
}

/// Opens the folder of a worker. The runner has followed all links when it checked the path, so a link on it is new.
/// The error says what is wrong and what to do.
pub(super) fn open_working_dir(path: &Path) -> Result<WorkingDir, String> {
    match open_without_links(path, ACCESS | OFlags::DIRECTORY) {
        Ok(folder) => Ok(WorkingDir { folder, path: path.to_owned() }),
        Err(Errno::LOOP | Errno::NOTDIR) => Err(format!(
            "the working directory {} was replaced by a link or a file since the runner checked it; check what the workers before did, then start again",
            path.display()
        )),
        Err(error) => Err(format!(
            "the working directory {} cannot be used: {}; it must exist as long as workers run",
            path.display(),
            std::io::Error::from(error)
        )),
    }
}
