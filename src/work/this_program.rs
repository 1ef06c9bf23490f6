//! The file of this program, to start it again.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// The executable that is running, even if an upgrade has replaced its file.
///
/// # Errors
/// The system does not report the path.
pub fn running_executable() -> Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { installed_file() }
}

/// Checks that workers can be supervised: on Linux their process trees are found in `/proc`.
///
/// # Errors
/// `invalid_argument` with the next step if `/proc` is not mounted.
pub(super) fn require_process_table() -> Result<()> {
    #[cfg(target_os = "linux")]
    if crate::proc_fs::process_stat(std::process::id().cast_signed()).is_none() {
        return Err(Error::invalid(
            "no worker can be started, because /proc is not mounted: without it the processes that a worker starts cannot be found and ended. Mount it (mount -t proc proc /proc) and try again",
        ));
    }
    Ok(())
}

/// The path of this program for other programs to start. If an upgrade has replaced the file, this is the new one.
///
/// # Errors
/// The system does not report the path.
pub(super) fn installed_file() -> Result<PathBuf> {
    let path = std::env::current_exe()
        .map_err(|error| Error::internal("the path of the tasktally program is unknown", error))?;
    // Linux appends this to the path of a file that was deleted or replaced.
    let replaced = path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(replaced.filter(|path| path.exists()).unwrap_or(path))
}
