//! The files of a report: the folder of pages, and one page in it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::formats::Formats;
use super::links::PageName;
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
