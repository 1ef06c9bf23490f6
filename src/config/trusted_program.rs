//! Checks that only the operator can change the program of a profile: a profile is no safer than the file that it starts.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::path_checks::{check_outside_folders, effective_user};
use crate::error::{Error, Result};

/// The mode bit that allows everybody to write.
const EVERYBODY_WRITES: u32 = 0o002;
/// The mode bit of shared folders in which only the owner of a file may rename or remove it.
const STICKY: u32 = 0o1000;

/// Checks a program, the folders above it, and the same for the file that a link leads to. A group may write to them, as
/// it may on many systems in `/usr/local/bin`. None of them is inside one of `agent_folders`; `reason` says what these
/// are.
///
/// # Errors
/// What another user, or an agent, could change, and the next step.
pub fn check_program(file: &Path, agent_folders: &[PathBuf], reason: &str) -> Result<()> {
    let real = std::fs::canonicalize(file)
        .map_err(|error| Error::invalid(format!("{} cannot be used", file.display())).caused_by(error))?;
    let named = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    for path in named.ancestors().chain(real.ancestors()) {
        let holds_program = Some(path) == named.parent() || Some(path) == real.parent();
        check_one(path, holds_program || path == named || path == real)?;
    }
    check_outside_folders(&[named, real], agent_folders, reason)
}

/// Checks one file or folder. Only in the folders further up, not in the one that holds the program, may everybody create
/// files, if the folder is sticky.
fn check_one(path: &Path, is_close: bool) -> Result<()> {
    let found = metadata(path)
        .map_err(|error| Error::invalid(format!("{} cannot be read", path.display())).caused_by(error))?;
    let user = effective_user();
    let refusal = |what: String, next: String| {
        Err(Error::invalid(format!(
            "{} {what}, so others could choose what workers run; {next}",
            path.display()
        )))
    };
    if found.uid() != user && found.uid() != 0 {
        let what = format!("belongs to user {}, not to you (user {user}) or root", found.uid());
        return refusal(what, "copy the program to a folder of your own, and name the copy".to_owned());
    }
    let is_shared_folder = !is_close && found.mode() & STICKY != 0;
    if found.mode() & EVERYBODY_WRITES != 0 && !is_shared_folder {
        let what = format!("can be written to by everybody (mode {:04o})", found.mode() & 0o7777);
        return refusal(what, format!("run chmod o-w {}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_program_that_others_could_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        create_dir(&bin).unwrap();
        let program = bin.join("agent");
        write(&program, "#!/bin/sh\n").unwrap();
        let mode = |path: &Path, mode: u32| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let check = |file: &Path, agents: &[PathBuf]| {
            check_program(file, agents, "where agents write").map_err(|error| error.to_string())
        };
        mode(&program, 0o755);
        assert_eq!(check(&program, &[]), Ok(()));
        assert_eq!(check(Path::new("/bin/sh"), &[]), Ok(()));
        assert!(check(&program, &[folder.path().to_owned()]).unwrap_err().contains("where agents write"));
        mode(&program, 0o757);
        assert!(check(&program, &[]).unwrap_err().contains("chmod o-w"));
        mode(&program, 0o755);
        for shared in [0o777, 0o1777] {
            mode(&bin, shared);
            assert!(check(&program, &[]).unwrap_err().contains("bin can be written to by everybody"));
        }
        // What a link leads to is checked, too.
        let link = folder.path().join("link");
        symlink(&program, &link).unwrap();
        assert!(check(&link, &[]).is_err());
        mode(&bin, 0o755);
        assert_eq!(check(&link, &[]), Ok(()));
    }
}
