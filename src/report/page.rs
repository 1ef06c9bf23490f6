//! The files of a report: the folder of pages, and one page in it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::formats::Formats;
use super::{html, markdown};
use crate::private_files::open_private_file;

/// The folder that the pages of one report are written to.
#[derive(Debug)]
pub(super) struct PageFolder {
    pub(super) path: PathBuf,
    /// Its name, as links use it.
    pub(super) name: String,
    /// The title of the batch.
    pub(super) title: String,
}

/// What a page belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageName {
    /// The beginning of the files' names.
    pub(super) file: &'static str,
    /// The section's title.
    pub(super) title: &'static str,
    /// The number of the page in its section, from 1.
    pub(super) number: usize,
}

impl PageName {
    /// The name of the files without the extension.
    pub(super) fn stem(self) -> String {
        format!("{}-{:04}", self.file, self.number)
    }

    /// The neighbour that is this many pages further.
    pub(super) fn neighbour(self, distance: isize) -> Option<PageName> {
        let number = self.number.checked_add_signed(distance).filter(|number| *number > 0)?;
        Some(PageName { number, ..self })
    }
}

/// A page that is being written, in both formats.
#[derive(Debug)]
pub(super) struct Page {
    name: PageName,
    html: BufWriter<File>,
    markdown: BufWriter<File>,
    /// The size of the larger file, in bytes.
    pub(super) len: usize,
}

impl Page {
    /// Creates the files of a page and writes their heads.
    pub(super) fn create(folder: &PageFolder, name: PageName) -> io::Result<Self> {
        let create = |extension: &str| {
            let path = folder.path.join(format!("{}.{extension}", name.stem()));
            open_private_file(OpenOptions::new().write(true).create_new(true), &path).map(BufWriter::new)
        };
        let mut page = Page { name, html: create("html")?, markdown: create("md")?, len: 0 };
        page.write(&Formats {
            html: html::page_head(&folder.title, name),
            markdown: markdown::page_head(&folder.title, name),
        })?;
        Ok(page)
    }

    /// Appends a text.
    pub(super) fn write(&mut self, text: &Formats) -> io::Result<()> {
        self.html.write_all(text.html.as_bytes())?;
        self.markdown.write_all(text.markdown.as_bytes())?;
        self.len += text.len();
        Ok(())
    }

    /// Writes the end of the page, with a link to the next one if there is one.
    pub(super) fn finish(mut self, has_next: bool) -> io::Result<()> {
        self.write(&Formats {
            html: html::page_end(self.name, has_next),
            markdown: markdown::page_end(self.name, has_next),
        })?;
        self.html.flush()?;
        self.markdown.flush()
    }
}
