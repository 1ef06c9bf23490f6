//! The folder that a report is written to. A report replaces the one before it completely.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf, absolute};

use tempfile::{NamedTempFile, TempDir};

use super::formats::Formats;
use crate::error::{Error, Result};
use crate::private_files::{create_private_folders, temporary_private_folder};
use crate::private_folder::PrivateFolder;

/// The beginning of the name of a folder of pages. The rest is random: a first page never links to the pages of
/// another report, whatever interrupts the writing.
const PAGE_FOLDER: &str = "report-pages-";
/// The length of the random end of that name, as the tempfile crate makes it.
const RANDOM: usize = 6;

/// The folder, locked against other processes that write a report to it.
#[derive(Debug)]
pub(super) struct OutputFolder {
    /// The path as its user knows it.
    path: PathBuf,
    /// The path for access to it.
    open_path: PathBuf,
    /// Held until the report is complete.
    _lock: File,
}

impl OutputFolder {
    /// Opens the folder that a person named. Creates it if it does not exist.
    pub(super) fn open_named(path: PathBuf) -> Result<Self> {
        if path.is_file() {
            return Err(Error::invalid(format!("--out: {} is a file; name a folder", path.display())));
        }
        let opened = create_private_folders(&path).and_then(|()| File::open(&path));
        Self::lock(path.clone(), path, opened)
    }

    /// Opens the folder of a batch in the scratch folder, where others may write. Creates it if it does not exist.
    pub(super) fn open_in_scratch(path: PathBuf) -> Result<Self> {
        match PrivateFolder::create(&path) {
            Ok(folder) => Self::lock(path, folder.open_path(), Ok(folder.into_file())),
            Err(error) => Err(unwritten(&path, error)),
        }
    }

    /// Waits until no other process writes a report to the folder.
    fn lock(path: PathBuf, open_path: PathBuf, opened: io::Result<File>) -> Result<Self> {
        let lock = opened.and_then(|folder| {
            rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive)?;
            Ok(folder)
        });
        match lock {
            Ok(lock) => Ok(OutputFolder { path, open_path, _lock: lock }),
            Err(error) => Err(unwritten(&path, error)),
        }
    }

    /// Creates a folder for pages. It is removed when it is dropped.
    pub(super) fn create_page_folder(&self) -> Result<TempDir> {
        temporary_private_folder(PAGE_FOLDER, &self.open_path).map_err(|error| unwritten(&self.path, error))
    }

    /// Replaces the last report: writes the first page, keeps its folder of pages if it has any, and removes the folders
    /// of earlier reports. Returns the files of the first page, and the folder of pages.
    pub(super) fn publish(
        &self,
        first_page: &Formats,
        pages: TempDir,
        has_pages: bool,
    ) -> Result<([PathBuf; 2], Option<PathBuf>)> {
        self.try_publish(first_page, pages, has_pages).map_err(|error| unwritten(&self.path, error))
    }

    fn try_publish(
        &self,
        first_page: &Formats,
        pages: TempDir,
        has_pages: bool,
    ) -> io::Result<([PathBuf; 2], Option<PathBuf>)> {
        const NAMES: [&str; 2] = ["report.md", "report.html"];
        // Both are complete before the first of them is replaced.
        let markdown = write_temporary(&self.open_path, &first_page.markdown)?;
        let html = write_temporary(&self.open_path, &first_page.html)?;
        let pages = has_pages.then(|| pages.keep());
        markdown.persist(self.open_path.join(NAMES[0])).map_err(|error| error.error)?;
        html.persist(self.open_path.join(NAMES[1])).map_err(|error| error.error)?;
        self.remove_other_pages(pages.as_deref())?;
        let shown = |pages: PathBuf| absolute(self.path.join(pages.file_name().unwrap_or_default()));
        Ok((NAMES.map(|name| self.path.join(name)), pages.map(shown).transpose()?))
    }

    fn remove_other_pages(&self, current: Option<&Path>) -> io::Result<()> {
        for entry in self.open_path.read_dir()? {
            let entry = entry?;
            let is_current = current.is_some_and(|current| current.file_name() == Some(&entry.file_name()));
            if !is_current
                && entry.file_type()?.is_dir()
                && is_page_folder(&entry.file_name().to_string_lossy())
            {
                remove_pages(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Whether a folder with this name may hold pages of a report.
fn is_page_folder(name: &str) -> bool {
    let random = name.strip_prefix(PAGE_FOLDER);
    random.is_some_and(|random| random.len() == RANDOM && random.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Removes the pages in a folder, and the folder if it holds nothing else.
fn remove_pages(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if is_page(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    if folder.read_dir()?.next().is_none() { std::fs::remove_dir(folder) } else { Ok(()) }
}

/// Whether a file has the name of a page: a word, a number and one of two extensions.
fn is_page(name: &str) -> bool {
    let stem = name.strip_suffix(".html").or_else(|| name.strip_suffix(".md"));
    let parts = stem.and_then(|stem| stem.split_once('-'));
    parts.is_some_and(|(word, number)| {
        word.chars().all(|c| c.is_ascii_lowercase())
            && number.len() >= 4
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

fn write_temporary(folder: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    Ok(file)
}

fn unwritten(folder: &Path, error: io::Error) -> Error {
    Error::internal(format!("the report cannot be written to {}", folder.display()), error)
}
