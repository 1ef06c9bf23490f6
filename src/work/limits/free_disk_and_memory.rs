//! Free disk and memory of the machine.

use std::path::Path;

use crate::config::Limits;
use crate::disk_space::free_bytes;
use crate::error::Result;
use crate::model::limits::MIB;

/// Memory that is available without swapping, in MiB, to the machine and within the limit of a container. `None` if the system does not report it.
#[cfg(target_os = "linux")]
fn free_memory_mb() -> Option<u64> {
    use crate::proc_fs::{available_memory, available_memory_of_control_groups};
    let free = [available_memory(), available_memory_of_control_groups()];
    free.into_iter().flatten().min().map(|bytes| bytes / MIB)
}

#[cfg(not(target_os = "linux"))]
fn free_memory_mb() -> Option<u64> {
    None
}

/// Which limit keeps the machine from running another worker, if one does. `folder` is the store's.
pub(super) fn missing_resource(limits: &Limits, folder: &Path) -> Result<Option<String>> {
    let disk = free_bytes(folder)? / MIB;
    if disk < limits.min_free_disk_mb {
        return Ok(Some(format!(
            "{disk} MiB are free on the disk of {}, less than limits.min_free_disk_mb {}",
            folder.display(),
            limits.min_free_disk_mb
        )));
    }
    Ok(free_memory_mb().filter(|memory| *memory < limits.min_free_memory_mb).map(|memory| {
        format!(
            "{memory} MiB of memory are free, less than limits.min_free_memory_mb {}",
            limits.min_free_memory_mb
        )
    }))
}
