//! The file descriptors that this process inherited besides its standard streams. A worker would inherit them too, and could
//! read and write what they refer to, whatever its sandbox says.

/// Closes them. To be called before this process opens anything itself.
///
/// # Errors
/// They cannot be listed.
#[cfg(target_os = "linux")]
pub fn close_inherited_descriptors() -> std::io::Result<()> {
    const STANDARD_ERROR: i32 = 2;
    let numbers = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // The list itself has a descriptor, which is closed by then.
    let inherited: Vec<i32> = numbers.filter(|number| *number > STANDARD_ERROR).collect();
    for number in inherited {
        nix::unistd::close(number).ok();
    }
    Ok(())
}

/// Other systems have no sandbox.
#[cfg(not(target_os = "linux"))]
pub fn close_inherited_descriptors() -> std::io::Result<()> {
    Ok(())
}
