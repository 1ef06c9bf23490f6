//! `tasktally verify`: walks every receipt's hash chain, and compares it with heads that were noted elsewhere.
//! `tasktally heads` notes them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::render::say;
use crate::error::{Code, Error, Result};
use crate::model::chain::Head;
use crate::ops::Session;
use crate::store::chains::{Walked, each_task, follow, walk};

/// Check every receipt against its hash chain, and the counts against the receipts.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// A file that tasktally heads wrote earlier and that was kept elsewhere (- for standard input): finds what was
    /// cut or written anew, too
    #[arg(long, value_name = "HEADS")]
    from: Option<PathBuf>,
}

/// Walks all tasks; names the first receipt that is not what was written.
pub(super) fn verify(request: &Verify, session: &Session, json: bool, out: &mut impl Write) -> Result<u8> {
    let noted = request.from.as_ref().map_or(Ok(Vec::new()), read_heads)?;
    let known = noted.len();
    let walked = session.read(move |tx| walk(tx, noted))?;
    let Walked { tasks, receipts, bad } = walked;
    let against = if known > 0 { format!(", and as {known} heads say") } else { String::new() };
    let (message, code) = match bad {
        None => (
            format!(
                "{receipts} receipts of {tasks} tasks are as they were written, every item is accounted for{against}"
            ),
            0,
        ),
        Some(bad) => (bad, 1),
    };
    let reply =
        serde_json::json!({ "success": code == 0, "message": message, "tasks": tasks, "receipts": receipts });
    say(out, &if json { reply.to_string() } else { message })?;
    Ok(code)
}

/// Prints where each task's chain stands: a line a task that has receipts.
pub(super) fn heads(session: &Session, json: bool, out: &mut impl Write) -> Result<u8> {
    let heads = session.read(|tx| {
        let mut heads = Vec::new();
        each_task(tx, |task| {
            let chain = follow(tx, task, &mut |_| {})?;
            if let Some(number) = chain.bad() {
                let what = format!("task {}: receipt {number} is not as it was written", task.id);
                return Err(Error::new(
                    Code::Conflict,
                    format!("{what}; a head of it would vouch for a forgery"),
                ));
            }
            if chain.number() > 0 {
                heads.push(Head { task: task.id.clone(), number: chain.number(), hash: chain.head() });
            }
            Ok(true)
        })?;
        Ok(heads)
    })?;
    for head in &heads {
        let line = if json {
            serde_json::to_string(head)
                .map_err(|error| Error::internal("a head could not be written as JSON", error))?
        } else {
            head.to_string()
        };
        say(out, &line)?;
    }
    Ok(0)
}

fn read_heads(path: &PathBuf) -> Result<Vec<Head>> {
    let wrong = |what: String| Error::invalid(format!("from: {}: {what}", path.display()));
    let file: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(path).map_err(|error| {
            wrong("it cannot be opened; tasktally heads writes one".into()).caused_by(error)
        })?;
        Box::new(BufReader::new(file))
    };
    let mut heads = Vec::new();
    for (number, line) in (1..).zip(file.lines()) {
        let line = line.map_err(|error| wrong(format!("line {number} cannot be read")).caused_by(error))?;
        if !line.trim().is_empty() {
            heads.push(line.parse().map_err(|why: String| wrong(format!("line {number}: {why}")))?);
        }
    }
    if heads.is_empty() {
        return Err(wrong(
            "there is no head in it, so nothing could be found; tasktally heads writes one".into(),
        ));
    }
    Ok(heads)
}
