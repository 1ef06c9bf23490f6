//! Files and folders that only their owner may use, whatever the umask is.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::TempDir;

/// The mode of a folder: its owner may list, enter and change it.
const FOLDER: u32 = 0o700;
/// The mode of a file: its owner may read and write it.
const FILE: u32 = 0o600;

/// Creates a folder with mode 0700, and the folders above it. A folder that exists is left as it is.
///
/// # Errors
/// If one of them cannot be created.
pub(crate) fn create_private_folders(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_private_folders(parent)?;
    }
    match DirBuilder::new().mode(FOLDER).create(folder) {
        // A umask such as 0277 takes rights from the owner as well.
        Ok(()) => restrict(folder, FOLDER),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a folder with mode 0700 and a name that nobody else uses. It is deleted with the value.
///
/// # Errors
/// If it cannot be created.
pub(crate) fn temporary_private_folder(prefix: &str, parent: &Path) -> io::Result<TempDir> {
    // Without the mode it has that of the umask, with which others may be able to read, or even to write.
    tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(FOLDER)).tempdir_in(parent)
}

/// Opens a file with these options. One that is created, or that belongs to this user, has mode 0600 afterwards.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open_private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(FILE).open(path)?;
    let metadata = file.metadata()?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_own && metadata.mode() & 0o777 != FILE {
        file.set_permissions(Permissions::from_mode(FILE))?;
    }
    Ok(file)
}

/// Opens a regular file that has one name only. A worker may have put a link or a FIFO in its place, so that this process
/// reads or writes another file, or waits for ever. One that is created has mode 0600.
///
/// # Errors
/// If it cannot be opened, or is something else.
pub(crate) fn open_plain_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = options.mode(FILE).custom_flags(flags.bits().cast_signed()).open(path);
    let metadata = match &opened {
        Ok(file) => file.metadata(),
        Err(_) => path.symlink_metadata(),
    };
    if metadata.is_ok_and(|found| !found.is_file() || found.nlink() > 1) {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("{} is a link, has several hard links, or is no file; remove it", path.display()),
        ));
    }
    opened
}

fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    if path.metadata()?.mode() & 0o777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn missing_folders_are_created_for_the_owner_alone_and_existing_ones_are_left() {
        let base = tempfile::tempdir().unwrap();
        std::fs::set_permissions(base.path(), Permissions::from_mode(0o755)).unwrap();
        let folder = base.path().join("a/b");
        create_private_folders(&folder).unwrap();
        create_private_folders(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&base.path().join("a")), mode(base.path())), (0o700, 0o700, 0o755));
        std::fs::write(base.path().join("file"), "").unwrap();
        assert!(create_private_folders(&base.path().join("file")).is_err());
    }

    #[test]
    fn only_a_regular_file_with_one_name_is_a_plain_file() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        std::fs::write(at("twice"), "").unwrap();
        std::fs::hard_link(at("twice"), at("hard")).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let opens = |name: &str| {
            let read = open_plain_file(OpenOptions::new().read(true), &at(name)).is_ok();
            let append = open_plain_file(OpenOptions::new().append(true).create(true), &at(name)).is_ok();
            (read, append)
        };
        assert_eq!(opens("file"), (true, true));
        assert_eq!(opens("new"), (false, true));
        for refused in ["link", "hard", "twice", "fifo"] {
            assert_eq!(opens(refused), (false, false), "{refused}");
        }
        assert_eq!(mode(&at("new")), 0o600);
    }

    #[test]
    fn an_opened_file_of_this_user_is_private_afterwards() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("file");
        for earlier in [0o666, 0o644, 0o600] {
            std::fs::write(&path, "kept").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(earlier)).unwrap();
            open_private_file(OpenOptions::new().write(true).create(true).truncate(false), &path).unwrap();
            assert_eq!(mode(&path), 0o600);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    }
}
