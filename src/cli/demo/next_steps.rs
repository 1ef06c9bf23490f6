//! What the demo prints at the end: the next commands, to be copied.

use std::path::Path;

use crate::cli::program_name::typed_name;
use crate::model::id::TaskId;

/// The next commands. `kept` is the store if it was kept, `with_store` how a person calls the program for it.
pub(super) fn next_steps(kept: Option<&Path>, with_store: &str, batch: &TaskId) -> String {
    let program = typed_name();
    let (store, look) = match kept {
        Some(store) => {
            (format!("The store is kept in {}.", store.display()), format!("{with_store} watch {batch}"))
        }
        None => ("The temporary store is deleted.".to_owned(), format!("{program} demo --keep")),
    };
    let what = if kept.is_some() { "Look at the batch" } else { "Keep the batch, to look at it" };
    format!(
        "
{store} Next:
  Connect an agent (also codex, cursor, gemini, vscode and others):
    {program} init claude-code --write --skill
  {what}:
    {look}
  Work your own items, with one process per item:
    {program} run --items items.jsonl -- ./worker.sh"
    )
}
