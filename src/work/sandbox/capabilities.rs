//! What a worker of root loses in a sandbox: the rights over the system, with which it would get around the rules over files.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What it keeps: rights over files, users and processes. Landlock still limits them. Not among them, for example, are the
/// rights to read the memory and the environment of other processes, to create the device of a disk, or to mount.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Drops all other capabilities. Without new privileges, which Landlock forbids, no program that this process becomes gets
/// them back.
///
/// # Errors
/// The kernel refuses it.
pub(super) fn drop_system_rights() -> Result<(), String> {
    let failed = |error: rustix::io::Errno| format!("its capabilities cannot be dropped: {error}");
    let now = capabilities(None).map_err(failed)?;
    let fewer = CapabilitySets {
        effective: now.effective & KEPT,
        permitted: now.permitted & KEPT,
        inheritable: now.inheritable & KEPT,
    };
    if fewer == now { Ok(()) } else { set_capabilities(None, fewer).map_err(failed) }
}
