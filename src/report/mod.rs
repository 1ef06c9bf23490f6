//! A batch's audit: one Markdown file and one HTML file that hold all of it.
//!
//! `walk` reads the store at one moment and hands the report on part by part; both
//! files are written as the parts come, so a batch of any size is never held whole. Everything
//! that agents wrote goes through `escape`.

mod escape;
mod facts;
mod html;
mod html_style;
mod lanes;
mod markdown;
mod svg;
mod timeline;
mod walk;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::views::intermediate_state;

pub use facts::Checks;

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The Markdown file, then the HTML file.
    pub files: [PathBuf; 2],
    /// Whether what the store holds adds up.
    pub checks: Checks,
}

/// Writes `report.md` and `report.html` of a batch, into `out` or beside its intermediate state.
///
/// # Errors
/// Where there is no such batch, the store cannot be read or a file cannot be written.
pub fn write(session: &Session, batch: &TaskId, out: Option<&Path>) -> Result<Written> {
    let id = batch.clone();
    // Looked for first: a batch that isn't there must not leave a folder.
    session.read(move |tx| crate::ops::find_batch(tx, &id).map(|_| ()))?;
    let folder = out.map_or_else(|| intermediate_state::folder(session, batch), Path::to_owned);
    let failed = {
        let folder = folder.clone();
        move |error: io::Error| {
            Error::internal(format!("the report cannot be written to {}", folder.display()), error)
        }
    };
    fs::create_dir_all(&folder).map_err(&failed)?;
    let aside = || NamedTempFile::new_in(&folder).map(BufWriter::new).map_err(&failed);
    let (mut markdown, mut html) = (aside()?, aside()?);
    let id = batch.clone();
    let while_written = failed.clone();
    let (checks, markdown, html) = session.read(move |tx| {
        let checks = walk::walk(tx, &id, &mut |part| {
            markdown::put(&mut markdown, part)
                .and_then(|()| html::put(&mut html, part))
                .map_err(&while_written)
        })?;
        Ok((checks, markdown, html))
    })?;
    let files = [folder.join("report.md"), folder.join("report.html")];
    for (file, path) in [markdown, html].into_iter().zip(&files) {
        finish(file, path).map_err(&failed)?;
    }
    Ok(Written { files, checks })
}

/// Puts a whole file in the place of the old one.
fn finish(file: BufWriter<NamedTempFile>, path: &Path) -> io::Result<()> {
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.flush()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
