//! A batch's full report, as Markdown and as HTML: a first page, and a folder of pages beside it if there is much.
//!
//! `reader` reads the store at one moment and writes the pages as it reads, so memory does not grow with the batch. The
//! first page is made at the end, of parts that are bounded in size. All text that agents wrote goes through `escape`.

mod escape;
mod first_page;
mod formats;
mod html;
mod html_style;
mod links;
mod markdown;
mod output_folder;
mod page;
mod reader;
mod report_rows;
mod section;
mod sections;
mod svg;
mod timeline;
mod timeline_rows;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::views::chunk_files;
use output_folder::OutputFolder;
use page::PageFolder;

pub use report_rows::Checks;

/// The files of a report.
#[derive(Debug)]
pub struct ReportFiles {
    /// The Markdown file, then the HTML file.
    pub files: [PathBuf; 2],
    /// The folder of the other pages and their number, if there are any.
    pub pages: Option<(PathBuf, usize)>,
    /// Whether the numbers in the store are consistent.
    pub checks: Checks,
}

/// Writes `report.md` and `report.html` of a batch to the folder `out`, by default the folder of the batch's
/// intermediate state. What does not fit into them is written to a folder of pages beside them.
///
/// # Errors
/// If there is no such batch, the store cannot be read or a file cannot be written.
pub fn write(session: &Session, batch: &TaskId, out: Option<&Path>) -> Result<ReportFiles> {
    let id = batch.clone();
    // Before a folder is made: an unknown batch must not leave one.
    let title = session.read(move |tx| crate::ops::find_batch(tx, &id).map(|(task, _)| task.title))?;
    let output = match out {
        Some(named) => OutputFolder::open_named(named.to_owned())?,
        None => OutputFolder::open_in_scratch(chunk_files::folder(session, batch))?,
    };
    let pages = output.create_page_folder()?;
    let page_folder = PageFolder {
        path: pages.path().to_owned(),
        name: pages.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        title,
    };
    let id = batch.clone();
    let first_page = session.read(move |tx| reader::read_report(tx, &id, &page_folder))?;
    let page_count = first_page.page_count();
    let (files, pages) = output.publish(&first_page.render(), pages, page_count > 0)?;
    let pages = pages.map(|folder| (folder, page_count));
    Ok(ReportFiles { files, pages, checks: first_page.checks })
}
