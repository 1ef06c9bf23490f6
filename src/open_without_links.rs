//! Opens what lies at a path, but only if the path leads through no link. A link may be the work of another program, which
//! would choose the file that is opened.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Opens an absolute path. Every folder is opened in the one above it, so that a link that appears meanwhile is not followed
/// either.
///
/// # Errors
/// `LOOP` or `NOTDIR` if a link is on the path or at its end, else what the kernel answers.
#[cfg(target_os = "linux")]
pub(crate) fn open_without_links(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    use std::path::Component;

    use rustix::fs::{FileType, fstat, open, openat};

    const FOLDER: OFlags =
        OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if !path.is_absolute() {
        return Err(Errno::INVAL);
    }
    let mut names = path.components().skip(1).peekable();
    let mut opened = open("/", if names.peek().is_none() { flags } else { FOLDER }, Mode::empty())?;
    while let Some(name) = names.next() {
        let Component::Normal(name) = name else { return Err(Errno::INVAL) };
        opened = openat(&opened, name, if names.peek().is_none() { flags } else { FOLDER }, Mode::empty())?;
    }
    // With O_PATH, a link at the end is opened itself.
    if FileType::from_raw_mode(fstat(&opened)?.st_mode).is_symlink() { Err(Errno::LOOP) } else { Ok(opened) }
}

/// Opens an absolute path. A folder that may only be entered cannot be opened here, so the path is checked as a whole.
///
/// # Errors
/// `LOOP` if a link is on the path or at its end, else what the kernel answers.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open_without_links(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    if first_link(path).is_some() {
        return Err(Errno::LOOP);
    }
    rustix::fs::open(path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The first link on a path, or at its end.
pub(crate) fn first_link(path: &Path) -> Option<PathBuf> {
    let mut parts: Vec<&Path> = path.ancestors().collect();
    parts.reverse();
    parts.into_iter().find(|part| part.is_symlink()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_with_a_link_is_not_opened() {
        let base = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(base.path()).unwrap();
        std::fs::create_dir_all(base.join("real/inside")).unwrap();
        std::fs::write(base.join("real/file"), "").unwrap();
        symlink("real", base.join("link")).unwrap();
        symlink("real/file", base.join("to-file")).unwrap();
        symlink("nowhere", base.join("dangling")).unwrap();
        let check = |path: &str, link: Option<&str>, opens: bool| {
            let path = base.join(path);
            assert_eq!(first_link(&path), link.map(|link| base.join(link)), "{}", path.display());
            let ways = if cfg!(target_os = "linux") {
                &[OFlags::RDONLY, OFlags::PATH][..]
            } else {
                &[OFlags::RDONLY]
            };
            for flags in ways {
                let opened = open_without_links(&path, *flags);
                assert_eq!(opened.is_ok(), opens, "{} {flags:?}: {opened:?}", path.display());
            }
        };
        check("real/inside", None, true);
        check("real/file", None, true);
        check("real/missing", None, false);
        check("link", Some("link"), false);
        check("link/inside", Some("link"), false);
        check("link/file", Some("link"), false);
        check("to-file", Some("to-file"), false);
        check("dangling", Some("dangling"), false);
        assert!(open_without_links(Path::new("/"), OFlags::RDONLY).is_ok());
        assert!(open_without_links(Path::new("relative"), OFlags::RDONLY).is_err());
    }
}
