//! The worker of the demo: reads one commit and prints its receipt, as `examples/file-commit.sh` does.

use std::io::{Read as _, Write};

use serde::Deserialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::terminal::print_line;

/// The name of the command, which `tasktally demo` runs once per item.
pub(in crate::cli) const DEMO_WORKER: &str = "demo-worker";

/// The fields of a commit that the worker reads.
#[derive(Deserialize)]
struct Commit {
    key: String,
    kind: String,
    subject: String,
}

/// Reads a commit from standard input and prints its receipt.
///
/// # Errors
/// The input is not a commit.
pub(in crate::cli) fn run(out: &mut dyn Write) -> Result<u8> {
    let mut input = String::new();
    std::io::stdin()
        .read_to_string(&mut input)
        .map_err(|error| Error::internal("standard input cannot be read", error))?;
    let commit: Commit = serde_json::from_str(&input).map_err(|error| {
        Error::invalid(format!(
            "standard input is not a commit: {error}; this command is the worker of tasktally demo, and gets an item of examples/commits.jsonl"
        ))
    })?;
    print_line(out, &receipt(&commit).to_string())?;
    Ok(0)
}

fn receipt(commit: &Commit) -> serde_json::Value {
    json!({
        "receipt": format!("- Filed: {} | {}", commit.key, commit.subject),
        "category": category(&commit.kind),
        "rationale": format!("The kind of the commit is {}.", commit.kind),
    })
}

/// What a reader of the project's history should do with a commit of this kind.
fn category(kind: &str) -> &'static str {
    match kind {
        "feat" | "fix" => "read",
        "docs" | "chore" => "archive",
        _ => "look",
    }
}
