//! `tasktally report`: a batch's audit as files.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::render::{safe, say};
use crate::error::Result;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::report;

/// A batch's audit, as one Markdown and one HTML file.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// The batch
    #[arg(value_name = "BATCH")]
    batch: TaskId,
    /// Where report.md and report.html are written (else beside the batch's intermediate state)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes the files and says where; exit code 1 where what the store holds does not add up.
pub(super) fn run(request: &Report, session: &Session, json: bool, out: &mut impl Write) -> Result<u8> {
    let written = report::write(session, &request.batch, request.out.as_deref())?;
    let [markdown, html] = written.files.each_ref().map(|file| file.display().to_string());
    let sound = written.checks.hold();
    let message = if sound {
        format!("Wrote {markdown} and {html}")
    } else {
        format!(
            "Wrote {markdown} and {html}, but what the store holds does not add up: see Checks there; tasktally verify says more"
        )
    };
    let text = if json {
        json!({ "success": sound, "message": message, "files": [markdown, html] }).to_string()
    } else {
        safe(&message)
    };
    say(out, &text)?;
    Ok(u8::from(!sound))
}
