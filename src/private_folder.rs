//! A folder for files of this user alone, in a folder where others may write.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::private_files::create_private_folders;

/// The mode: the owner may list, enter and change it.
const MODE: u32 = 0o700;

/// An open folder with mode 0700 that belongs to this user.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    folder: File,
    path: PathBuf,
}

impl PrivateFolder {
    /// Creates the folder, or opens the one that exists.
    ///
    /// # Errors
    /// It is a link or a file, belongs to another user, or cannot be created.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        path.parent().map_or(Ok(()), create_private_folders)?;
        match DirBuilder::new().mode(MODE).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // What others put there must not lead the files, or the change of its mode, to another place.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map(File::from).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => refusal("is a link or a file, and no folder"),
            error => error.into(),
        })?;
        let metadata = folder.metadata()?;
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user {
            return Err(refusal(&format!("belongs to user {}, not to you (user {user})", metadata.uid())));
        }
        // An earlier version created it with the mode of the umask.
        if metadata.mode() & 0o777 != MODE {
            folder.set_permissions(Permissions::from_mode(MODE))?;
        }
        Ok(PrivateFolder { folder, path: path.to_owned() })
    }

    /// The path of the open folder, whatever its name leads to meanwhile. Valid as long as this value.
    pub(crate) fn open_path(&self) -> PathBuf {
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()));
        if cfg!(target_os = "linux") && path.is_dir() { path } else { self.path.clone() }
    }

    /// The open folder.
    pub(crate) fn into_file(self) -> File {
        self.folder
    }
}

fn refusal(what: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        format!("it {what}; remove it, or name another folder with SCRATCHPAD"),
    )
}
