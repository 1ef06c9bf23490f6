//! The texts that columns hold, for every database.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::batch::Batch;
use crate::model::task::Task;

/// A list of texts as a JSON array.
pub(super) fn list(values: &[String]) -> String {
    serde_json::Value::from(values).to_string()
}

/// The same; NULL for an empty list, which selects everything.
pub(super) fn some_list(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| list(values))
}

/// What a task is.
pub(super) fn role(task: &Task) -> &'static str {
    match (task.is_batch, task.is_chunk) {
        (true, _) => "batch",
        (false, true) => "chunk",
        (false, false) => "task",
    }
}

/// The columns of a batch that hold JSON.
pub(super) struct BatchTexts {
    /// The command of a run.
    pub(super) command: Option<String>,
    /// The steps; NULL for a batch with one step that has no name of its own.
    pub(super) steps: Option<String>,
    /// The fields that name resources.
    pub(super) resource_fields: Option<String>,
}

impl BatchTexts {
    /// Those of a batch.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub(super) fn of(batch: &Batch) -> Result<Self> {
        let fields: Vec<String> = batch.resources.iter().map(|field| field.as_str().to_owned()).collect();
        let steps = (!batch.steps.is_empty()).then_some(&batch.steps);
        Ok(BatchTexts {
            command: json("the command of a run", batch.run.as_ref())?,
            steps: json("the steps", steps)?,
            resource_fields: some_list(&fields),
        })
    }
}

fn json(what: &str, value: Option<&impl Serialize>) -> Result<Option<String>> {
    let text = value.map(serde_json::to_string).transpose();
    text.map_err(|error| Error::internal(format!("{what} cannot be written as JSON"), error))
}

/// The message of a conditional UPDATE of a task that changed nothing.
pub(super) fn changed_since(task: &Task) -> String {
    format!("Task {} was changed by another writer; read it again", task.id)
}

/// The message of an outcome for an item that has one already.
pub(super) fn settled_since(key: &str) -> String {
    format!("Item '{key}' was settled by another writer")
}
