//! `supervise_batch`: what the agent is told that makes a batch and watches it.

use super::Prompt;
use super::arguments::{Argument, Completes, Given, line, lines, quoted, workers};

pub(super) const PROMPT: Prompt = Prompt {
    name: "supervise_batch",
    title: "Supervise a batch",
    about: "How to split many similar items into chunks, start background workers and poll them.",
    arguments: &[
        Argument {
            name: "goal",
            about: "what is to be done with each item",
            required: true,
            completes: Completes::Nothing,
            check: lines,
        },
        Argument {
            name: "source",
            about: "where the items lie: a JSONL or CSV file, or a folder",
            required: false,
            completes: Completes::Nothing,
            check: line,
        },
        Argument {
            name: "split",
            about: "how to split: size, time by a date field, or category by a field",
            required: false,
            completes: Completes::Words(&["size", "time", "category"]),
            check: line,
        },
        Argument {
            name: "workers",
            about: "how many background workers, 1 to 8",
            required: false,
            completes: Completes::Words(&["2", "4", "8"]),
            check: workers,
        },
    ],
    worker: false,
    text,
};

fn text(given: &Given) -> String {
    let goal = given.needed("goal");
    let (source, whence) = match given.get("source") {
        Some(path) => (format!("source={{\"path\": {}}}", quoted(path)), ""),
        None => {
            ("source={\"path\": FILE}".to_owned(), " (JSONL, CSV or a folder; a few items inline as items)")
        }
    };
    let wish = given.get("split").map_or_else(String::new, |split| format!(" The user wants: {split}."));
    let workers = given.get("workers").unwrap_or("8");
    format!(
        "Process many similar items with background workers. You supervise: make one good batch and watch it; the workers do the work. The tools are those of the MCP server task_manager (mcp__task_manager__create_batch and so on).

Goal: {goal}

1. The items are to be independent: no two chunks may change the same thing. create_batch refuses them else (on_conflict=\"merge\" or \"serialize\" copes).
2. Choose a split: by time for dated items ({{\"by\": \"time\", \"field\": F, \"period\": \"month\"}}), by category for grouped ones ({{\"by\": \"category\", \"field\": F}}), else size; 20 to 50 items a chunk.{wish} create_batch(…, dry_run=true) shows the plan.
3. create_batch(title, instructions, {source}, split, max_parallel={workers}){whence}. instructions is the ONE prompt for all workers: what to do with an item, the categories to use, when to skip, what must never be done. They know nothing else. Before bulk actions let a person look: steps=[{{name, instructions}}, {{name, instructions, only_categories}}], checkpoint=\"chunk\". finish={{title}} makes a task for the end.
4. Start as many workers as its message says, {workers} at most, in the background, each with worker_prompt exactly as returned. They call MCP tools directly, no skills. (mode hypervisor, from 5 workers on: one background agent may start and watch them for you.)
5. Never block on them; their notifications are unreliable. Go on with other work; every few minutes get_batch(id, since=that of the last reply, first of poll).
6. Chunks still active, or stalled (their worker died), and no worker left: start more with the same prompt.
7. When status is waiting: show the user get_batch(id, view=\"review\"), then review_batch(id, decision) as they say; start workers again. When it is done or failed: get_batch(id, view=\"failures\"). Mend the cause, control_batch(id, action=\"retry\"), start workers again.
8. Finish: claim the finish task, test, push once (workers only commit), report counts and failures."
    )
}
