//! The names of this machine.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The name of this machine, as messages show it. Several machines may have the same name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A text that only processes on this machine, since its start, have for a folder. Empty if the system has no such text.
pub(crate) fn place_of(folder: &Path) -> String {
    match (boot_id(), std::fs::metadata(folder)) {
        (Some(boot), Ok(folder)) => format!("{boot}:{}:{}", folder.dev(), folder.ino()),
        _ => String::new(),
    }
}

/// A random text that the kernel draws when it starts. All containers of the machine see the same one.
#[cfg(target_os = "linux")]
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> Option<String> {
    None
}
