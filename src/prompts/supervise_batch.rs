//! `supervise_batch`: the prompt for the agent that creates a batch and follows it.

use super::arguments::{
    Argument, ArgumentValues, Suggestions, check_line, check_text, check_workers, quoted,
};
use super::needs::speaks_of_files;
use super::{Facts, Prompt};

pub(super) const PROMPT: Prompt = Prompt {
    name: "supervise_batch",
    title: "Supervise a batch",
    about: "How to split many similar items into chunks, start background workers and follow them.",
    arguments: &[
        Argument {
            name: "goal",
            about: "what to do with each item",
            required: true,
            suggestions: Suggestions::Nothing,
            check: check_text,
        },
        Argument {
            name: "source",
            about: "where the items are: a JSONL or CSV file, or a folder",
            required: false,
            suggestions: Suggestions::Nothing,
            check: check_line,
        },
        Argument {
            name: "split",
            about: "how to split: size, time by a date field, or category by a field",
            required: false,
            suggestions: Suggestions::Words(&["size", "time", "category"]),
            check: check_line,
        },
        Argument {
            name: "workers",
            about: "how many background workers, 1 to 8",
            required: false,
            suggestions: Suggestions::Words(&["2", "4", "8"]),
            check: check_workers,
        },
    ],
    for_workers: false,
    text,
};

fn text(values: &ArgumentValues, facts: &Facts) -> String {
    let goal = values.required("goal");
    let (source, source_hint) = match values.get("source") {
        Some(path) => (format!("source={{\"path\": {}}}", quoted(path)), ""),
        None => {
            ("source={\"path\": FILE}".to_owned(), " (JSONL, CSV or a folder; a few items inline as items)")
        }
    };
    let split_wish =
        values.get("split").map_or_else(String::new, |split| format!(" The user wants: {split}."));
    let workers = values.get("workers").unwrap_or("8");
    let (watch, follow) = if facts.has_tasks {
        (
            "wait for it with wait_batch, which your client runs in the background",
            "5. wait_batch(id): it wakes you when a person is needed or the batch has ended. Do other work until then; after each wake do what its reply says, then wait_batch(id) again.
6. If your workers have stopped and it has not woken you: get_batch(id); if chunks are active or stalled (their worker died), start more.",
        )
    } else {
        (
            "watch it",
            "5. Never block on them; their notifications are unreliable. Do other work; every few minutes get_batch(id, since=that of the last reply, first that of poll).
6. If chunks are active or stalled (their worker died) and no worker is left: start more.",
        )
    };
    let push =
        if speaks_of_files(&goal.to_lowercase()) { "test, push once (workers only commit), " } else { "" };
    format!(
        "Process many similar items with background workers. You supervise: make one good batch and {watch}; the workers do the work. The tools are those of the MCP server task_manager, perhaps with a prefix.

Goal: {goal}

1. No two chunks may change the same thing: create_batch refuses conflicts; on_conflict=\"merge\" or \"serialize\" allows them.
2. Choose a split: by time for dated items ({{\"by\": \"time\", \"field\": F, \"period\": \"month\"}}), by category for grouped ones ({{\"by\": \"category\", \"field\": F}}), else by size; 20 to 50 items per chunk.{split_wish} create_batch(…, dry_run=true) shows the plan.
3. create_batch(title, instructions, {source}, split, max_parallel={workers}){source_hint}. instructions is the ONE prompt for all workers: what to do with an item, the categories to use, when to skip, what must never be done. They know nothing else. For a person's check before bulk actions: steps=[{{name, instructions}}, {{name, instructions, only_categories}}], checkpoint=\"chunk\". finish={{title}} adds a task for the end.
4. Start as many workers as its message says, in the background, each with worker_prompt exactly as returned; each works chunk after chunk, without skills. (mode hypervisor, from 5 workers: a background agent may start and watch them.)
{follow}
7. When needs_person names something: show the user get_batch(id, view=\"review\"), then review_batch(id, decision) as they say; start workers again. When status is done or failed: get_batch(id, view=\"failures\"). Fix the cause, control_batch(id, action=\"retry\"), start workers again.
8. Finish: claim the finish task, {push}report counts and failures."
    )
}
