//! `tasktally report`: a batch's full report as files.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use crate::error::Result;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::report;
use crate::terminal::{escape_hidden, print_line};

/// Write a batch's full report as Markdown and as HTML.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// The batch's id
    #[arg(value_name = "BATCH")]
    batch: TaskId,
    /// The folder for report.md and report.html [default: the batch's own folder, which tasktally run prints after
    /// "Files:"; it is batch-BATCH in SCRATCHPAD or beside the store]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes the files. The exit code is 1 if the numbers in the store are inconsistent.
pub(super) fn run(request: &Report, session: &Session, json: bool, out: &mut impl Write) -> Result<u8> {
    let written = report::write(session, &request.batch, request.out.as_deref())?;
    let [markdown, html] = written.files.each_ref().map(|file| file.display().to_string());
    let is_consistent = written.checks.pass();
    let pages = written.pages.as_ref().map(|(folder, count)| (folder.display().to_string(), *count));
    let mut message = match &pages {
        Some((folder, count)) => {
            format!("Wrote {markdown} and {html}, and {count} pages of each in {folder}")
        }
        None => format!("Wrote {markdown} and {html}"),
    };
    if !is_consistent {
        message +=
            ", but the store is inconsistent: see the section Checks in them, and run tasktally verify";
    }
    let text = if json {
        let mut reply = json!({ "success": is_consistent, "message": message, "files": [markdown, html] });
        if let Some((folder, count)) = pages {
            reply["pages_folder"] = folder.into();
            reply["pages"] = count.into();
        }
        reply.to_string()
    } else {
        escape_hidden(&message)
    };
    print_line(out, &text)?;
    Ok(u8::from(!is_consistent))
}
