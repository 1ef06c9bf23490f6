//! What a command learns besides its standard input: environment variables, and a file with all of it as JSON.

use std::fs::{self, DirBuilder};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::active_claim::ActiveClaim;
use super::job_files::{context_file_prefix, mcp_config_folder};
use crate::error::{Error, Result};
use crate::ops::{ChunkBrief, Session, WorkerItem};

/// The variable with the path of the context file.
const CONTEXT_VARIABLE: &str = "TASKTALLY_CONTEXT";

/// What the commands of one claim learn.
pub(super) struct ClaimContext {
    task: String,
    title: String,
    brief: ChunkBrief,
    /// The context file. It is removed when the claim ends.
    file: NamedTempFile,
}

/// Removes the context files of earlier claims, whose runners were killed before they could do so.
fn remove_earlier_files(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

impl ClaimContext {
    /// Creates the context file of a claim, in the data folder, readable only by its owner.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(super) fn new(session: &Session, claim: &ActiveClaim, brief: ChunkBrief) -> Result<Self> {
        let folder = mcp_config_folder(session.folder());
        let cannot = |error| {
            Error::internal(format!("a context file cannot be written to {}", folder.display()), error)
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
        let prefix = context_file_prefix(&claim.id);
        remove_earlier_files(&folder, &prefix).map_err(cannot)?;
        let file =
            tempfile::Builder::new().prefix(&prefix).suffix(".json").tempfile_in(&folder).map_err(cannot)?;
        let task = &claim.reply.task;
        Ok(ClaimContext { task: claim.id.to_string(), title: task.title.clone(), brief, file })
    }

    /// Writes the context file for an item, or for a task without items. Returns the variables of its command.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn prepare(&mut self, item: Option<&WorkerItem>) -> Result<Vec<(String, String)>> {
        let path = self.file.path().to_string_lossy().into_owned();
        let text = self.as_json(item).to_string();
        let file = self.file.as_file_mut();
        file.rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|error| Error::internal(format!("the context file {path} cannot be written"), error))?;
        let brief = &self.brief;
        let mut variables = vec![
            ("TASKTALLY_TASK", self.task.as_str()),
            ("TASKTALLY_BATCH", &brief.batch),
            ("TASKTALLY_ITEM", item.map_or("", |item| &item.key)),
            ("TASKTALLY_STEP", brief.step.as_deref().unwrap_or_default()),
            ("TASKTALLY_NOTE", brief.note.as_deref().unwrap_or_default()),
            (CONTEXT_VARIABLE, &path),
        ];
        if let Some((since, by)) = item.and_then(|item| item.in_doubt.as_ref()) {
            variables.extend([("TASKTALLY_IN_DOUBT", since.as_str()), ("TASKTALLY_IN_DOUBT_BY", by)]);
        }
        // A variable cannot contain NUL.
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.replace('\0', " "));
        Ok(variables.into_iter().map(owned).collect())
    }

    /// All that is known about the item, as one JSON object. What is not known is left out.
    fn as_json(&self, item: Option<&WorkerItem>) -> Value {
        let brief = &self.brief;
        let mut context =
            json!({ "task": self.task, "title": self.title, "instructions": brief.instructions });
        if !brief.batch.is_empty() {
            context["batch"] = json!({ "id": brief.batch, "title": brief.batch_title });
        }
        if let Some(step) = &brief.step {
            context["step"] = json!({ "name": step, "instructions": brief.step_instructions });
        }
        if let Some(note) = &brief.note {
            context["note"] = json!(note);
        }
        let Some(item) = item else { return context };
        context["item"] = json!({ "key": item.key, "fields": item.fields });
        if let Some((since, by)) = &item.in_doubt {
            context["in_doubt"] = json!({ "since": since, "by": by });
        }
        if let Some(earlier) = &item.earlier_steps {
            context["earlier_steps"] = earlier.clone();
        }
        context
    }
}
