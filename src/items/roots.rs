//! Opening a source, never beyond the allowed roots.

use std::fs::canonicalize;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf, absolute};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt as _};

use crate::error::{Error, Result};
use crate::model::field::visible_excerpt;

/// The largest file that is read, in bytes: 4 GiB.
pub const MAX_SOURCE_BYTES: u64 = 4 << 30;

/// The folders beneath which sources may lie. A person at a command line has `/`.
#[derive(Debug, Clone)]
pub struct SourceRoots {
    folders: Vec<PathBuf>,
    /// Files that are no sources, wherever they lie and by whatever name they are asked for.
    closed: Vec<PathBuf>,
}

/// What lay at a source's path.
pub(super) enum Opened {
    /// A regular file, and its size in bytes when it was opened.
    File(File, u64),
    /// A folder.
    Folder(Dir),
}

impl SourceRoots {
    /// The roots; a relative one counts from the current folder of now.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let fixed = |path: PathBuf| absolute(&path).unwrap_or(path);
        SourceRoots {
            folders: paths.into_iter().map(|path| fixed(path.into())).collect(),
            closed: Vec::new(),
        }
    }

    /// The roots, but for a store's own files: a process that closes one of them loses SQLite's locks on it.
    #[must_use]
    pub fn without_store(mut self, store: &Path) -> Self {
        for end in ["", "-wal", "-shm"] {
            let mut name = store.as_os_str().to_owned();
            name.push(end);
            self.closed.push(name.into());
        }
        self
    }

    /// Opens a regular file or a folder beneath one of the roots.
    pub(super) fn open(&self, path: &str) -> Result<Opened> {
        let (root, inside) = self.locate(path)?;
        let refused = |e: io::Error| cannot_open(path, &e);
        let root = Dir::open_ambient_dir(root, ambient_authority()).map_err(refused)?;
        // Before opening, since opening a FIFO waits for somebody to write to it;
        // and again after, in case it was exchanged in between.
        let metadata = root.metadata(&inside).map_err(refused)?;
        check_kind(path, &metadata)?;
        if metadata.is_dir() {
            return Ok(Opened::Folder(root.open_dir(&inside).map_err(refused)?));
        }
        self.check_open(path, &metadata)?;
        let file = root.open(&inside).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        check_kind(path, &metadata)?;
        if metadata.is_dir() {
            return Err(Error::invalid(format!(
                "{} changed while it was opened; try again",
                quoted_path(path)
            )));
        }
        Ok(Opened::File(file, metadata.len()))
    }

    fn check_open(&self, path: &str, metadata: &Metadata) -> Result<()> {
        let is_same = |closed: &PathBuf| {
            std::fs::metadata(closed)
                .is_ok_and(|own| (own.dev(), own.ino()) == (metadata.dev(), metadata.ino()))
        };
        if self.closed.iter().any(is_same) {
            return Err(Error::invalid(format!(
                "{} is the store itself; name a file of items",
                quoted_path(path)
            )));
        }
        Ok(())
    }

    /// The real root that holds the path, and the real path in it. The links on
    /// the way are resolved here, so that one may lead from place to place within
    /// the roots; `Dir` then refuses any link that leads out, put there since.
    fn locate(&self, path: &str) -> Result<(PathBuf, PathBuf)> {
        let outside = || {
            Error::invalid(format!(
                "{} lies outside the allowed folders ({}); move it into one of them, or give the items inline",
                quoted_path(path),
                self.shown()
            ))
        };
        if path.is_empty() {
            return Err(Error::invalid("The source's path is empty; give a JSONL or CSV file, or a folder"));
        }
        let Some(first) = self.folders.first() else {
            return Err(Error::invalid(format!(
                "{} cannot be read: no folder is allowed to read items from; give the items inline",
                quoted_path(path)
            )));
        };
        let full = first.join(path);
        // What lies outside is refused unseen: whether it exists is not told.
        let plain = without_dots(&full);
        let real_roots: Vec<PathBuf> =
            self.folders.iter().filter_map(|root| canonicalize(root).ok()).collect();
        if !self.folders.iter().chain(&real_roots).any(|root| plain.starts_with(root)) {
            return Err(outside());
        }
        let real = canonicalize(&full).map_err(|e| cannot_open(path, &e))?;
        let found =
            real_roots.iter().find_map(|root| Some((root.clone(), real.strip_prefix(root).ok()?.to_owned())));
        let (root, inside) = found.ok_or_else(outside)?;
        Ok((root, if inside.as_os_str().is_empty() { PathBuf::from(".") } else { inside }))
    }

    fn shown(&self) -> String {
        self.folders.iter().map(|root| quoted_path(&root.to_string_lossy())).collect::<Vec<_>>().join(", ")
    }
}

fn check_kind(path: &str, metadata: &Metadata) -> Result<()> {
    if metadata.is_dir() {
        return Ok(());
    }
    if !metadata.is_file() {
        return Err(Error::invalid(format!(
            "{} is {}, not a regular file; give a JSONL or CSV file, or a folder",
            quoted_path(path),
            kind(metadata)
        )));
    }
    if metadata.len() > MAX_SOURCE_BYTES {
        return Err(Error::invalid(format!(
            "{} has {} bytes; a source has at most {MAX_SOURCE_BYTES} (4 GiB); split it and add the rest with add_items",
            quoted_path(path),
            metadata.len()
        )));
    }
    Ok(())
}

fn kind(metadata: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use cap_std::fs::FileTypeExt;
        let file_type = metadata.file_type();
        if file_type.is_fifo() {
            return "a FIFO";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_block_device() || file_type.is_char_device() {
            return "a device";
        }
    }
    let _ = metadata;
    "something special"
}

/// The path with its `.` and `..` worked out by their letters alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn cannot_open(path: &str, error: &io::Error) -> Error {
    let cause = match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    Error::invalid(format!("{} cannot be opened: {cause}; check the source's path", quoted_path(path)))
}

pub(super) fn quoted_path(path: &str) -> String {
    format!("\"{}\"", visible_excerpt(path, 500))
}
