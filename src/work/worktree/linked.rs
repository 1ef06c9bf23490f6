//! What connects a worktree's folder with its repository: the file `.git` in the folder, which names a folder of the
//! repository, and the file `gitdir` there, which names the file `.git`. See gitrepository-layout(5).

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};

/// The longest content of one of the files, in bytes: the prefix, a path and a line end.
const MAX_FILE_BYTES: u64 = 8192;

/// A worktree that its repository knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LinkedWorktree {
    /// The repository's folder for this worktree, `worktrees/NAME`.
    pub(super) admin_dir: PathBuf,
    /// The folder that all worktrees of the repository share.
    pub(super) common_dir: PathBuf,
}

impl LinkedWorktree {
    /// Reads what a worktree's folder is linked to. A worker may have changed the files, so both have to name each other.
    ///
    /// # Errors
    /// The folder is not a worktree, or its repository does not know it.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let link = folder.join(".git");
        let admin_dir = read_path(&link, b"gitdir: ").ok_or_else(|| not_a_worktree(folder))?;
        let admin_dir = canonical(&admin_dir)?;
        let worktrees = admin_dir.parent().filter(|parent| parent.ends_with("worktrees"));
        let common_dir = worktrees.and_then(Path::parent).ok_or_else(|| not_a_worktree(folder))?.to_owned();
        let linked_back = read_path(&admin_dir.join("gitdir"), b"").ok_or_else(|| not_a_worktree(folder))?;
        if canonical(linked_back.parent().unwrap_or(&linked_back))? != canonical(folder)? {
            return Err(not_a_worktree(folder));
        }
        Ok(LinkedWorktree { admin_dir, common_dir })
    }

    /// Names the repository in a new worktree's file `.git`: git wrote the path of the neutral folder.
    ///
    /// # Errors
    /// The file cannot be read or written, or names something else.
    pub(super) fn link_to(folder: &Path, common_dir: &Path) -> Result<Self> {
        let link = folder.join(".git");
        let named = read_path(&link, b"gitdir: ").ok_or_else(|| not_a_worktree(folder))?;
        let name = named.file_name().ok_or_else(|| not_a_worktree(folder))?;
        let mut content = b"gitdir: ".to_vec();
        content.extend_from_slice(common_dir.join("worktrees").join(name).as_os_str().as_bytes());
        content.push(b'\n');
        std::fs::write(&link, content).map_err(|error| {
            Error::invalid(format!("the file {} cannot be written", link.display())).caused_by(error)
        })?;
        Self::read(folder)
    }

    /// The worktree's index.
    pub(super) fn index(&self) -> PathBuf {
        self.admin_dir.join("index")
    }
}

fn not_a_worktree(folder: &Path) -> Error {
    Error::invalid(format!("{} is not a worktree of a repository that knows it", folder.display()))
}

/// The path in a file of git, after a prefix.
fn read_path(file: &Path, prefix: &[u8]) -> Option<PathBuf> {
    // A worker may have put a link or a FIFO there.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::open(file, flags, Mode::empty()).ok()?);
    if !opened.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    opened.take(MAX_FILE_BYTES).read_to_end(&mut content).ok()?;
    let path = content.strip_prefix(prefix)?.strip_suffix(b"\n")?;
    let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
    path.is_absolute().then_some(path)
}

pub(super) fn canonical(folder: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(folder).map_err(|error| {
        Error::invalid(format!("the folder {} cannot be used", folder.display())).caused_by(error)
    })
}
