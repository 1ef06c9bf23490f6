//! Opens a source, never outside of the allowed roots.

use std::fs::canonicalize;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf, absolute};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{OFlags, fcntl_setfl};

use crate::error::{Error, Result};
use crate::model::field::visible_excerpt;

/// How long a pipe may be without a process that writes to it.
const WRITER_PATIENCE: Duration = Duration::from_secs(2);
/// The largest file that is read, in bytes: 4 GiB.
pub const MAX_SOURCE_BYTES: u64 = 4 << 30;

/// The folders that sources are read from. For a person at a command line that is `/`.
#[derive(Debug, Clone)]
pub struct SourceRoots {
    folders: Vec<PathBuf>,
    /// Files that are never sources, whatever name they are requested by.
    closed: Vec<PathBuf>,
    /// Folders from which nothing is read, and which are left out when a folder above them is listed.
    closed_folders: Vec<PathBuf>,
    /// Whether a file with several hard links is refused: it may have been linked from outside the roots.
    refuses_hard_links: bool,
    /// Whether standard input and pipes may be read. Only for a command of a person: a server's standard input is its
    /// protocol, and a pipe may never end.
    may_stream: bool,
}

/// What is at the path of a source.
pub(super) enum Opened {
    /// A regular file, and its size in bytes when it was opened.
    File(File, u64),
    /// Standard input, or a pipe.
    Stream(Box<dyn Read + Send>),
    /// A folder, and which of its subfolders are closed.
    Folder(Dir, ClosedFolders),
}

/// The closed folders, seen from a folder that is listed.
#[derive(Default)]
pub(super) struct ClosedFolders {
    folder: PathBuf,
    closed: Vec<PathBuf>,
}

impl ClosedFolders {
    /// Whether a subfolder, given relative to the folder, is closed.
    pub(super) fn contain(&self, subfolder: &str) -> bool {
        self.closed.contains(&self.folder.join(subfolder))
    }
}

impl SourceRoots {
    /// The roots; a relative one is resolved against the current folder.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let fixed = |path: PathBuf| absolute(&path).unwrap_or(path);
        SourceRoots {
            folders: paths.into_iter().map(|path| fixed(path.into())).collect(),
            closed: Vec::new(),
            closed_folders: Vec::new(),
            refuses_hard_links: false,
            may_stream: false,
        }
    }

    /// The roots without these folders, as far as they exist, and without files that have several hard links. For an
    /// agent: the folders hold Tasktally's own files, among them the tokens of workers.
    #[must_use]
    pub fn without_folders(self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let closed_folders = folders.into_iter().filter_map(|folder| canonicalize(folder).ok()).collect();
        SourceRoots { closed_folders, refuses_hard_links: true, ..self }
    }

    /// The roots, and standard input and pipes.
    #[must_use]
    pub fn with_streams(self) -> Self {
        SourceRoots { may_stream: true, ..self }
    }

    /// The roots without a store's own files: a process that closes one of them loses SQLite's locks on it.
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
        if self.may_stream
            && let Some(stream) = open_stream(path)?
        {
            return Ok(Opened::Stream(stream));
        }
        let (root_path, inside) = self.locate(path)?;
        let refused = |e: io::Error| cannot_open(path, &e);
        let root = Dir::open_ambient_dir(&root_path, ambient_authority()).map_err(refused)?;
        let metadata = root.metadata(&inside).map_err(refused)?;
        check_kind(path, &metadata)?;
        if metadata.is_dir() {
            let folder = root.open_dir(&inside).map_err(refused)?;
            self.check_place(path, &root_path.join(&inside), &folder.dir_metadata().map_err(refused)?)?;
            let closed = self.closed_folders.clone();
            let listed = without_dots(&root_path.join(&inside));
            return Ok(Opened::Folder(folder, ClosedFolders { folder: listed, closed }));
        }
        self.check_open(path, &metadata)?;
        // If the file was replaced by a FIFO since, opening it must not wait for a writer.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nonblocking().map_err(refused)?);
        let file = root.open_with(&inside, &options).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        check_kind(path, &metadata)?;
        if metadata.is_dir() {
            return Err(changed(path));
        }
        self.check_open(path, &metadata)?;
        self.check_place(path, &root_path.join(&inside), &metadata)?;
        Ok(Opened::File(file, metadata.len()))
    }

    /// Checks what was opened: it is not in a closed folder, and not a second name of a file that may be in one. Links
    /// may have been changed while it was opened, so its real path has to lead to the same file still.
    fn check_place(&self, path: &str, opened: &Path, metadata: &Metadata) -> Result<()> {
        let real = canonicalize(opened).map_err(|error| cannot_open(path, &error))?;
        let at_path = std::fs::metadata(&real).map_err(|error| cannot_open(path, &error))?;
        if (at_path.dev(), at_path.ino()) != (metadata.dev(), metadata.ino()) {
            return Err(changed(path));
        }
        if let Some(closed) = self.closed_folders.iter().find(|closed| real.starts_with(closed)) {
            return Err(Error::invalid(format!(
                "{} lies in {}, where Tasktally has files of its own; move it out, or give the items inline",
                quoted_path(path),
                quoted_path(&closed.to_string_lossy())
            )));
        }
        if self.refuses_hard_links && metadata.is_file() && metadata.nlink() > 1 {
            return Err(Error::invalid(format!(
                "{} has {} hard links, so it may be a file from outside the allowed folders; copy it and name the copy",
                quoted_path(path),
                metadata.nlink()
            )));
        }
        Ok(())
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

    /// The real root that contains the path, and the real path in it. Links are resolved here, so a link may lead from
    /// one place within the roots to another. `Dir` refuses a link that was created since and leads out.
    fn locate(&self, path: &str) -> Result<(PathBuf, PathBuf)> {
        let outside = || {
            Error::invalid(format!(
                "{} lies outside the allowed folders ({}); move it into one of them, or give the items inline",
                quoted_path(path),
                self.shown()
            ))
        };
        if path.is_empty() {
            return Err(Error::invalid(
                "The source's path is empty; give a file of JSONL, a JSON list or CSV, or a folder",
            ));
        }
        let Some(first) = self.folders.first() else {
            return Err(Error::invalid(format!(
                "{} cannot be read: no folder is allowed to read items from; give the items inline, or start the server in the folder of a project or with --item-folder DIR",
                quoted_path(path)
            )));
        };
        let full = first.join(path);
        // A path outside of the roots is refused before it is read: the refusal must not reveal whether it exists.
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
            "{} is {}, not a regular file; give a file of JSONL, a JSON list or CSV, or a folder",
            quoted_path(path),
            kind(metadata)
        )));
    }
    if metadata.len() > MAX_SOURCE_BYTES {
        return Err(Error::invalid(format!(
            "{} has {} bytes; a source has at most {MAX_SOURCE_BYTES} (4 GiB); split it and add the rest with add_items()",
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
    "not a file"
}

/// Opens standard input (`-`) or a pipe; none if the path is something else.
fn open_stream(path: &str) -> Result<Option<Box<dyn Read + Send>>> {
    if path == "-" {
        return Ok(Some(Box::new(io::stdin())));
    }
    // A path such as /dev/stdin or /dev/fd/63 is a link to no path, so it is opened directly.
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(None) };
    let file_type = metadata.file_type();
    let is_stdin = path == "/dev/stdin" && !file_type.is_dir();
    if !(is_stdin || file_type.is_fifo() || file_type.is_socket()) {
        return Ok(None);
    }
    let opened = if file_type.is_fifo() { open_pipe(path) } else { std::fs::File::open(path).map(boxed) };
    opened.map(Some).map_err(|error| cannot_open(path, &error))
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

fn nonblocking() -> io::Result<i32> {
    i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)
}

fn changed(path: &str) -> Error {
    Error::invalid(format!("{} changed while it was opened; try again", quoted_path(path)))
}

/// Opens a pipe once a process has it open for writing. The kernel would wait for that process without a limit.
fn open_pipe(path: &str) -> io::Result<Box<dyn Read + Send>> {
    let mut pipe = std::fs::File::options().read(true).custom_flags(nonblocking()?).open(path)?;
    let deadline = Instant::now() + WRITER_PATIENCE;
    let mut first = [0];
    loop {
        match pipe.read(&mut first) {
            // End of file: no process writes.
            Ok(0) if Instant::now() >= deadline => {
                return Err(io::Error::other("it is a pipe, and no process writes to it"));
            }
            Ok(0) => std::thread::sleep(Duration::from_millis(10)),
            Ok(read) => {
                fcntl_setfl(&pipe, OFlags::empty())?;
                return Ok(boxed(io::Cursor::new(first[..read].to_vec()).chain(pipe)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                fcntl_setfl(&pipe, OFlags::empty())?;
                return Ok(boxed(pipe));
            }
            Err(error) => return Err(error),
        }
    }
}

/// The path with `.` and `..` resolved by the text alone.
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
