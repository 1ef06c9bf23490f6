//! `docket verify`: walks every receipt's hash chain.

use std::io::Write;

use crate::error::{Error, Result};
use crate::model::limits::PAGE;
use crate::model::receipt::FIRST_HASH;
use crate::ops::Docket;
use crate::store::{Filter, Read};

/// Walks all tasks; names the first receipt that is not what was written.
pub(super) fn verify(docket: &Docket, json: bool, out: &mut impl Write) -> Result<u8> {
    let (tasks, receipts, bad) = docket.read(walk)?;
    let (message, code) = match bad {
        None => (format!("{receipts} receipts of {tasks} tasks are as they were written"), 0),
        Some(bad) => (bad, 1),
    };
    let reply =
        serde_json::json!({ "success": code == 0, "message": message, "tasks": tasks, "receipts": receipts });
    let text = if json { reply.to_string() } else { message };
    writeln!(out, "{text}").map_err(|error| Error::internal("nothing can be printed", error))?;
    Ok(code)
}

fn walk(tx: &dyn Read) -> Result<(u64, u64, Option<String>)> {
    let (mut tasks, mut receipts) = (0, 0);
    let mut after = None;
    loop {
        let page = tx.list(&Filter::default(), after, PAGE)?;
        let Some(last) = page.last() else { return Ok((tasks, receipts, None)) };
        after = Some((last.priority, last.order, last.row));
        for task in &page {
            tasks += 1;
            let (mut before, mut number) = (FIRST_HASH, 0);
            loop {
                let chain = tx.hashed_receipts(task.row, number, PAGE)?;
                if chain.is_empty() {
                    break;
                }
                for (receipt, hash) in chain {
                    number += 1;
                    if receipt.number != number || receipt.hash(task.id.as_str(), &before) != hash {
                        return Ok((
                            tasks,
                            receipts,
                            Some(format!("task {}: receipt {number} is not as it was written", task.id)),
                        ));
                    }
                    before = hash;
                    receipts += 1;
                }
            }
            if number != task.receipts {
                return Ok((
                    tasks,
                    receipts,
                    Some(format!("task {}: {number} of {} receipts are there", task.id, task.receipts)),
                ));
            }
        }
    }
}
