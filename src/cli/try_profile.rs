//! A test run of a profile: it is started once, on one item, in a temporary store.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::{Per, Profile};
use crate::error::{Code, Error, Result};
use crate::items::SourceRoots;
use crate::model::author::SYSTEM;
use crate::model::id::TaskId;
use crate::model::step::MAX_STEPS;
use crate::model::text::LineText;
use crate::ops::{self, LocalFolders, Session};
use crate::private_files::temporary_private_folder;
use crate::store::sqlite::SqliteStore;
use crate::work;

/// The instructions for an agent that gets the item.
const INSTRUCTIONS: &str = "This is a check of the configuration. Do nothing with the item but write its receipt: \
outcome done, category check, body \"- checked\". Then complete the chunk.";

/// Starts a worker of the profile as a batch would, and returns a sentence about what happened.
///
/// # Errors
/// If the worker cannot be started, or does not settle its item.
pub(super) fn try_profile(profile: &Profile) -> Result<String> {
    let folder = temporary_private_folder("tasktally-check-", &std::env::temp_dir()).map_err(|error| {
        Error::internal("the temporary store for the test of a profile cannot be made", error)
    })?;
    let path = folder.path().join("tasktally.db");
    let store = SqliteStore::open(&path, Clock::system())?;
    let session = Session::new(
        Arc::new(store),
        LocalFolders::in_one(folder.path().to_owned()),
        SourceRoots::new([folder.path()]),
        SYSTEM.clone(),
    );
    let mut request = json!({
        "title": "Check", "instructions": INSTRUCTIONS, "items": [{ "key": "check" }], "project": "check",
        "max_attempts": 1,
    });
    // The command itself in a step of its own, then the commands of steps.
    let names: Vec<&str> =
        std::iter::once("check").chain(profile.steps().filter(|step| *step != "check")).collect();
    if names.len() > 1 {
        let step = |name: &&str| json!({ "name": name, "instructions": INSTRUCTIONS });
        request["steps"] = names.iter().take(MAX_STEPS).map(step).collect();
    }
    let plan = call(&session, "create_batch", request)?;
    let id = TaskId::stored(text(&plan, "/batch/id"));
    let name: LineText = profile.name.as_str().parse().map_err(|why: String| Error::invalid(why))?;
    ops::assign_profile(&session, &id, &name)?;
    work::test_in_foreground(&session, &path, &id)?;
    let batch = call(&session, "get_batch", json!({ "id": id }))?;
    if batch.pointer("/batch/outcomes/done").and_then(Value::as_u64) == Some(1) {
        let unit = if profile.per == Per::Item { "an item" } else { "a chunk" };
        return Ok(format!("was started and settled {unit}"));
    }
    let task = call(&session, "get_task", json!({ "id": text(&batch, "/chunks/0/id") }))?;
    let paused = batch.pointer("/batch/paused").and_then(Value::as_str).map(str::to_owned);
    let body = text(&task, "/task/body");
    let reason = paused.unwrap_or_else(|| body.lines().last().unwrap_or_default().to_owned());
    let reason = without_commands(&reason);
    Err(Error::new(Code::Internal, format!("was started and did not settle its item: {reason}")))
}

/// A reason without the commands at its end: they name the temporary store, which is removed.
fn without_commands(reason: &str) -> &str {
    let ends = ["; whole output: ", " This was attempt ", ". Fix the cause, "];
    let end = ends.iter().filter_map(|words| reason.find(words)).min().unwrap_or(reason.len());
    &reason[..end]
}

fn call(session: &Session, operation: &str, arguments: Value) -> Result<Value> {
    let entry = ops::find_operation(operation)
        .ok_or_else(|| Error::new(Code::Internal, format!("there is no operation {operation}")))?;
    (entry.call)(session, arguments)
}

fn text(reply: &Value, pointer: &str) -> String {
    reply.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
