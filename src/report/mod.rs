//! A batch's full report, as one Markdown file and one HTML file.
//!
//! `reader` reads the store at one moment and emits the report part by part. Both files are written as the parts
//! arrive, so memory does not grow with the batch. All text that agents wrote goes through `escape`.

mod escape;
mod html;
mod html_style;
mod markdown;
mod parts;
mod reader;
mod svg;
mod timeline;
mod timeline_rows;

use crate::private_files::create_private_folders;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::views::intermediate_state;

pub use parts::Checks;

/// The files of a report.
#[derive(Debug)]
pub struct ReportFiles {
    /// The Markdown file, then the HTML file.
    pub files: [PathBuf; 2],
    /// Whether the numbers in the store are consistent.
    pub checks: Checks,
}

/// Writes `report.md` and `report.html` of a batch to the folder `out`, by default the folder of the batch's
/// intermediate state.
///
/// # Errors
/// If there is no such batch, the store cannot be read or a file cannot be written.
pub fn write(session: &Session, batch: &TaskId, out: Option<&Path>) -> Result<ReportFiles> {
    let id = batch.clone();
    // Before a folder is made: an unknown batch must not leave one.
    session.read(move |tx| crate::ops::find_batch(tx, &id).map(|_| ()))?;
    let folder = out.map_or_else(|| intermediate_state::folder(session, batch), Path::to_owned);
    let write_error = {
        let folder = folder.clone();
        move |error: io::Error| {
            Error::internal(format!("the report cannot be written to {}", folder.display()), error)
        }
    };
    if folder.is_file() {
        return Err(Error::invalid(format!("--out: {} is a file; name a folder", folder.display())));
    }
    create_private_folders(&folder).map_err(&write_error)?;
    let temporary = || NamedTempFile::new_in(&folder).map(BufWriter::new).map_err(&write_error);
    let (mut markdown, mut html) = (temporary()?, temporary()?);
    let id = batch.clone();
    let part_error = write_error.clone();
    let (checks, markdown, html) = session.read(move |tx| {
        let checks = reader::read_report(tx, &id, &mut |part| {
            markdown::write_part(&mut markdown, part)
                .and_then(|()| html::write_part(&mut html, part))
                .map_err(&part_error)
        })?;
        Ok((checks, markdown, html))
    })?;
    let files = [folder.join("report.md"), folder.join("report.html")];
    for (file, path) in [markdown, html].into_iter().zip(&files) {
        persist(file, path).map_err(&write_error)?;
    }
    Ok(ReportFiles { files, checks })
}

/// Replaces the previous file with a complete one.
fn persist(file: BufWriter<NamedTempFile>, path: &Path) -> io::Result<()> {
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.flush()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
