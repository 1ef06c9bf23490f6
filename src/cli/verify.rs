//! `tasktally verify`: the receipts' hash chains, checked, and compared with heads that were saved earlier.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::heads::COMMENT;
use super::input_file::open_regular;
use crate::error::{Error, Result};
use crate::model::chain::ChainHead;
use crate::model::text::{agreeing, counted};
use crate::ops::Session;
use crate::store::chains::{ChainReport, verify_chains};
use crate::terminal::{escape_hidden, print_line};

/// The longest line of a file of heads, in bytes.
const MAX_LINE_BYTES: u64 = 4_096;
/// The most heads in a file.
const MAX_HEADS: usize = 10_000_000;
/// The most batches that are named.
const MAX_NAMED: usize = 3;

/// Check receipts, instructions and items against their hashes, and counts and approvals against the receipts.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Also compare with a file that tasktally heads wrote earlier and that was kept elsewhere (- for standard
    /// input): this finds receipts that were cut off or whose whole chain was rewritten. Lines that begin with # are
    /// ignored
    #[arg(long, value_name = "HEADS")]
    from: Option<PathBuf>,
}

/// Checks all tasks, and names the first receipt that differs from what was written. `program` is how tasktally is called
/// for this store.
pub(super) fn verify(
    request: &Verify,
    session: &Session,
    program: &str,
    json: bool,
    out: &mut impl Write,
) -> Result<u8> {
    let noted = request.from.as_ref().map_or(Ok(Vec::new()), read_heads)?;
    let compared = match noted.len() {
        0 => String::new(),
        count => format!("; {} {}", counted(count as u64, "head"), agreeing(count as u64, "agrees", "agree")),
    };
    let ChainReport { tasks, receipts, items, unhashed, problem } =
        session.read(move |tx| verify_chains(tx, noted))?;
    let is_intact = problem.is_none();
    let begun = begun_items(session, program)?;
    let unhashed = match unhashed {
        0 => String::new(),
        count => format!(
            "; the instructions and items of {} have no hash, because an older tasktally stored them",
            counted(count, "task")
        ),
    };
    let message = problem.unwrap_or_else(|| {
        format!(
            "The whole store: {} of {} {} unchanged, and every item is accounted for ({}){compared}{unhashed}{begun}",
            counted(receipts, "receipt"),
            counted(tasks, "task"),
            agreeing(receipts, "is", "are"),
            counted(items, "item")
        )
    });
    let text = if json {
        json!({ "success": is_intact, "message": message, "tasks": tasks, "receipts": receipts, "items": items })
            .to_string()
    } else if is_intact && request.from.is_none() {
        let hint = format!("To find cut-off or rewritten chains: {program} verify --from SAVED_HEADS");
        format!("{}\n{hint}", escape_hidden(&message))
    } else {
        escape_hidden(&message)
    };
    print_line(out, &text)?;
    Ok(u8::from(!is_intact))
}

/// The items that were started and not settled, as the end of a sentence. No receipt reports their outcome.
fn begun_items(session: &Session, program: &str) -> Result<String> {
    let found = session.read(|tx| tx.batches_with_begun_items(MAX_NAMED + 1))?;
    let named: Vec<String> = found
        .iter()
        .take(MAX_NAMED)
        .map(|(batch, count)| format!("{count} ({program} get-batch {batch} --view items --outcome started)"))
        .collect();
    let more = if found.len() > MAX_NAMED { " and more in other batches" } else { "" };
    if named.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("; items begun and not settled, which may have happened: {}{more}", named.join(", ")))
}

fn read_heads(path: &PathBuf) -> Result<Vec<ChainHead>> {
    let invalid = |what: String| Error::invalid(format!("--from: {}: {what}", path.display()));
    let mut file: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(open_regular("--from", path)?))
    };
    let (mut heads, mut line) = (Vec::new(), String::new());
    for number in 1_u64.. {
        line.clear();
        let read = (&mut *file).take(MAX_LINE_BYTES + 1).read_line(&mut line);
        read.map_err(|error| invalid(format!("line {number} cannot be read")).caused_by(error))?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err(invalid(format!(
                "line {number} has more than {MAX_LINE_BYTES} bytes, the limit; tasktally heads writes shorter lines"
            )));
        }
        if line.trim().is_empty() || line.starts_with(COMMENT) {
            continue;
        }
        if heads.len() == MAX_HEADS {
            return Err(invalid(format!("it has more than {MAX_HEADS} heads, the limit")));
        }
        heads.push(line.trim_end().parse().map_err(|why: String| invalid(format!("line {number}: {why}")))?);
    }
    if heads.is_empty() {
        return Err(invalid(
            "it holds no heads, so it proves nothing; tasktally heads writes such a file".into(),
        ));
    }
    Ok(heads)
}
