//! Opens a file that a command reads.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};

/// Opens a regular file. Opening a FIFO without a writer would block, and a device such as `/dev/zero` never ends.
///
/// # Errors
/// `name` is the parameter that the error names.
pub(super) fn open_regular(name: &str, path: &Path) -> Result<File> {
    let refused = |what: &str| Error::invalid(format!("{name}: {} {what}", path.display()));
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| refused("cannot be opened").caused_by(std::io::Error::from(error)))?;
    let file = File::from(file);
    let is_file = file.metadata().map_err(|error| refused("cannot be read").caused_by(error))?.is_file();
    if is_file {
        Ok(file)
    } else {
        Err(refused("is no regular file; a pipe can be read as standard input: give - as the name"))
    }
}
