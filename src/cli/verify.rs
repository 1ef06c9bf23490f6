//! `docket verify`: walks every receipt's hash chain, and compares it with heads that were noted elsewhere.
//! `docket heads` notes them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use crate::error::{Code, Error, Result};
use crate::model::chain::{Chain, Head};
use crate::model::limits::PAGE;
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::ops::Docket;
use crate::store::{Filter, Read};

/// Check every receipt against its hash chain, and the counts against the receipts.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// A file that docket heads wrote earlier and that was kept elsewhere: finds what was cut or written anew, too
    #[arg(long, value_name = "HEADS")]
    from: Option<PathBuf>,
}

/// What a walk over all chains came to.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) tasks: u64,
    pub(super) receipts: u64,
    /// What is not as it was written.
    pub(super) bad: Option<String>,
}

/// Walks all tasks; names the first receipt that is not what was written.
pub(super) fn verify(request: &Verify, docket: &Docket, json: bool, out: &mut impl Write) -> Result<u8> {
    let noted = request.from.as_ref().map_or(Ok(Vec::new()), read_heads)?;
    let known = noted.len();
    let walked = docket.read(move |tx| walk(tx, noted))?;
    let Walked { tasks, receipts, bad } = walked;
    let against = if known > 0 { format!(", and as {known} heads say") } else { String::new() };
    let (message, code) = match bad {
        None => (format!("{receipts} receipts of {tasks} tasks are as they were written{against}"), 0),
        Some(bad) => (bad, 1),
    };
    let reply =
        serde_json::json!({ "success": code == 0, "message": message, "tasks": tasks, "receipts": receipts });
    say(out, if json { reply.to_string() } else { message })?;
    Ok(code)
}

/// Prints where each task's chain stands: a line a task that has receipts.
pub(super) fn heads(docket: &Docket, out: &mut impl Write) -> Result<u8> {
    let heads = docket.read(|tx| {
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
    heads.iter().try_for_each(|head| say(out, head.to_string()))?;
    Ok(0)
}

fn say(out: &mut impl Write, line: String) -> Result<()> {
    writeln!(out, "{line}").map_err(|error| Error::internal("nothing can be printed", error))
}

fn read_heads(path: &PathBuf) -> Result<Vec<Head>> {
    let wrong = |what: String| Error::invalid(format!("from: {}: {what}", path.display()));
    let file = std::fs::File::open(path)
        .map_err(|error| wrong("it cannot be opened; docket heads writes one".into()).caused_by(error))?;
    let mut heads = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| wrong(format!("line {number} cannot be read")).caused_by(error))?;
        if !line.trim().is_empty() {
            heads.push(line.parse().map_err(|why: String| wrong(format!("line {number}: {why}")))?);
        }
    }
    if heads.is_empty() {
        return Err(wrong(
            "there is no head in it, so nothing could be found; docket heads writes one".into(),
        ));
    }
    Ok(heads)
}

/// Walks all chains, and compares them with heads that were noted before.
pub(super) fn walk(tx: &dyn Read, noted: Vec<Head>) -> Result<Walked> {
    let mut noted: HashMap<String, Head> =
        noted.into_iter().map(|head| (head.task.to_string(), head)).collect();
    let mut walked = Walked::default();
    each_task(tx, |task| {
        walked.tasks += 1;
        let head = noted.remove(task.id.as_str());
        let mut then = None;
        let chain = follow(tx, task, &mut |chain| {
            if head.as_ref().is_some_and(|head| head.number == chain.number()) {
                then = Some(chain.head());
            }
        })?;
        walked.receipts += chain.number();
        walked.bad = if let Some(number) = chain.bad() {
            Some(format!("task {}: receipt {number} is not as it was written", task.id))
        } else if !chain.is_whole(task.receipts) {
            Some(format!("task {}: {} of {} receipts are there", task.id, chain.number(), task.receipts))
        } else {
            head.and_then(|head| differs(&head, then.as_deref(), chain.number()))
        };
        Ok(walked.bad.is_none())
    })?;
    if walked.bad.is_none()
        && let Some(gone) = noted.into_keys().min()
    {
        walked.bad =
            Some(format!("task {}: it was there when its head was noted, and is gone", excerpt(&gone)));
    }
    Ok(walked)
}

/// How a chain differs from its head of earlier, where it stood `then`.
fn differs(head: &Head, then: Option<&str>, now: u64) -> Option<String> {
    match then {
        None => Some(format!(
            "task {}: {now} receipts are there, {} were when its head was noted",
            head.task, head.number
        )),
        Some(then) if then != head.hash => Some(format!(
            "task {}: its receipts up to {} were written anew since its head was noted",
            head.task, head.number
        )),
        Some(_) => None,
    }
}

/// Calls `visit` with every task, until it says that it has seen enough.
fn each_task(tx: &dyn Read, mut visit: impl FnMut(&Task) -> Result<bool>) -> Result<()> {
    let mut after = None;
    loop {
        let page = tx.list(&Filter::default(), after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.priority, last.order, last.row));
        for task in &page {
            if !visit(task)? {
                return Ok(());
            }
        }
    }
}

/// Follows a task's chain to its end, or to the first receipt that is not as it was written; shows each step.
fn follow(tx: &dyn Read, task: &Task, show: &mut dyn FnMut(&Chain)) -> Result<Chain> {
    let mut chain = Chain::begin();
    loop {
        let page = tx.hashed_receipts(task.row, chain.number(), PAGE)?;
        if page.is_empty() || chain.bad().is_some() {
            return Ok(chain);
        }
        for (receipt, hash) in page {
            chain.take(task.id.as_str(), &receipt, hash);
            show(&chain);
        }
    }
}
