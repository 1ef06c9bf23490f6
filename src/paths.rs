//! Paths as people write them: with `~`, relative, through symbolic links, and to what does not exist yet.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::read_link;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// The largest number of symbolic links on a path, as in the kernel.
const MAX_LINKS: usize = 40;

/// The path with a leading `~` replaced by the home folder. A shell expands it only at the start of a word, so it
/// arrives here from `--db=~/x` and from configuration files of MCP clients. `name` is the option or variable.
///
/// # Errors
/// For another user's home folder (`~name/`), and if there is no home folder.
pub(crate) fn expand_home(path: &Path, name: &str) -> Result<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let Some(rest) = bytes.strip_prefix(b"~") else { return Ok(path.to_owned()) };
    if !rest.is_empty() && !rest.starts_with(b"/") {
        return Err(Error::invalid(format!(
            "{name}: '{0}' starts with the home folder of another user, which is not expanded here; write the path in full, or ./{0} for a file with that name",
            path.display()
        )));
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
        Error::invalid(format!(
            "{name}: '{}' starts with ~, but there is no home folder; write the path in full",
            path.display()
        ))
    })?;
    // `components` drops the slash, with which `join` would replace the home folder.
    let inside = path.components().skip(1).collect::<PathBuf>();
    Ok(if inside.as_os_str().is_empty() { home } else { home.join(inside) })
}

/// Whether a path ends with a slash, so that it means a folder.
pub(crate) fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// The absolute path without symbolic links, `.` and `..`. What does not exist yet keeps its name.
///
/// # Errors
/// If the path is relative and the current folder was deleted, or if links lead in a circle.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut real = if path.is_absolute() { PathBuf::from("/") } else { std::env::current_dir()? };
    let mut pending: VecDeque<OsString> = VecDeque::new();
    push_components(&mut pending, path);
    let mut links = 0;
    while let Some(name) = pending.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        // An error means that it is no link, or does not exist, or cannot be read: using the path reports that.
        let Ok(target) = read_link(&next) else {
            real = next;
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::other(format!("more than {MAX_LINKS} symbolic links lead to it")));
        }
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        push_components(&mut pending, &target);
    }
    Ok(real)
}

/// Puts the components of a path in front of the pending ones.
fn push_components(pending: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => pending.push_front(name.to_owned()),
            Component::ParentDir => pending.push_front("..".into()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_and_dots_are_resolved_and_missing_names_are_kept() {
        let base = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(base.path()).unwrap();
        std::fs::create_dir_all(base.join("real/inside")).unwrap();
        symlink("real/inside", base.join("link")).unwrap();
        symlink(base.join("real/new.db"), base.join("dangling.db")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        let check = |path: &str, expected: &str| {
            assert_eq!(resolve(&base.join(path)).unwrap(), base.join(expected), "{path}");
        };
        check("real/./d.db", "real/d.db");
        check("link/d.db", "real/inside/d.db");
        check("link/../d.db", "real/d.db");
        check("dangling.db", "real/new.db");
        check("missing/../other/d.db", "other/d.db");
        assert!(resolve(&base.join("loop")).is_err());
    }

    #[test]
    fn a_tilde_is_the_home_folder_only_at_the_start() {
        let Some(home) = std::env::home_dir() else { return };
        let check = |path: &str, expected: &Path| {
            assert_eq!(expand_home(Path::new(path), "--db").unwrap(), expected, "{path}");
        };
        check("~", &home);
        check("~/a/d.db", &home.join("a/d.db"));
        check("./~/d.db", Path::new("./~/d.db"));
        check("/a/~", Path::new("/a/~"));
        let refused = expand_home(Path::new("~joe/d.db"), "TASKTALLY_DB").unwrap_err().to_string();
        assert!(
            refused.contains("TASKTALLY_DB: '~joe/d.db'") && refused.contains("./~joe/d.db"),
            "{refused}"
        );
    }
}
