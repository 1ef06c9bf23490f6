//! `tasktally heads`: the last hashes of the receipts' chains, to be kept elsewhere and compared later.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::NamedTempFile;

use crate::error::{Code, Error, Result};
use crate::model::chain::ChainHead;
use crate::model::text::counted;
use crate::ops::Session;
use crate::store::chains::{for_each_task, read_chain};
use crate::store::content_check::{content_head, content_problem};
use crate::terminal::{escape_hidden, print_line};

/// The beginning of a line that is no head.
pub(super) const COMMENT: char = '#';
/// The first line of a file of heads.
const COLUMNS: &str =
    "# TASK RECEIPTS LAST_HASH ITEMS CONTENT_HASH; to compare: tasktally verify --from THIS_FILE";

/// Print the last hashes of each task, for a later verify --from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each line is one task, batch or chunk:
  TASK          Its id
  RECEIPTS      How many receipts it has
  LAST_HASH     The hash of its last receipt, which covers all those before
  ITEMS         How many items it has, if it is a chunk, else 0
  CONTENT_HASH  The hash of its text or instructions, rules and items; ITEMS and
                CONTENT_HASH are missing if an older tasktally stored the task

Keep the lines where nobody who can write to the store can change them. Later,
tasktally verify --from FILE finds what was cut off or rewritten since.")]
pub(super) struct Heads {
    /// The file to write, which only you can read; it must not exist. Its first line names the columns [default: standard
    /// output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints the head of each task's chain and the hash of its content, one line for each task, or writes them to a file.
pub(super) fn heads(request: &Heads, session: &Session, json: bool, out: &mut impl Write) -> Result<u8> {
    let heads = read_chains(session)?;
    let line = |head: &ChainHead| {
        if !json {
            return Ok(head.to_string());
        }
        serde_json::to_string(head)
            .map_err(|error| Error::internal("a head could not be written as JSON", error))
    };
    let lines = heads.iter().map(line).collect::<Result<Vec<String>>>()?;
    let Some(path) = &request.out else {
        lines.iter().try_for_each(|line| print_line(out, line))?;
        return Ok(0);
    };
    // A comment is no JSON.
    let columns = (!json).then_some(COLUMNS);
    let text: String =
        columns.into_iter().chain(lines.iter().map(String::as_str)).map(|line| format!("{line}\n")).collect();
    write_new(path, &text).map_err(|error| unwritten(path, error))?;
    let message = format!("Wrote {} to {}", counted(lines.len() as u64, "head"), path.display());
    let text = if json {
        let file = path.display().to_string();
        json!({ "success": true, "message": message, "file": file, "heads": lines.len() }).to_string()
    } else {
        escape_hidden(&message)
    };
    print_line(out, &text)?;
    Ok(0)
}

/// Writes a private file that does not exist yet: all of it or nothing.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // A temporary file has mode 0600.
    let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    if error.kind() == ErrorKind::AlreadyExists {
        return Error::invalid(format!(
            "--out: {} exists; a later check needs the heads that were saved earlier, so name another file",
            path.display()
        ));
    }
    Error::internal(format!("--out: the heads cannot be written to {}", path.display()), error)
}

/// The head of every task that has receipts or a hash of its content.
///
/// # Errors
/// If a receipt or the content was changed: the head would certify the forgery.
fn read_chains(session: &Session) -> Result<Vec<ChainHead>> {
    session.read(|tx| {
        let mut heads = Vec::new();
        for_each_task(tx, |task| {
            let chain = read_chain(tx, task, &mut |_, _| {})?;
            if let Some(number) = chain.first_invalid() {
                return Err(Error::new(
                    Code::Conflict,
                    format!(
                        "task {}: receipt {number} was changed after it was written, so no heads are printed",
                        task.id
                    ),
                ));
            }
            let content_hash = tx.content_hash(task)?;
            if let Some(problem) = content_problem(tx, task, content_hash.as_ref(), None)? {
                return Err(Error::new(Code::Conflict, format!("{problem}, so no heads are printed")));
            }
            let content = content_hash.map(|hash| content_head(tx, task, &hash)).transpose()?;
            if chain.receipt_count() > 0 || content.is_some() {
                heads.push(ChainHead {
                    task: task.id.clone(),
                    number: chain.receipt_count(),
                    hash: chain.head_hash(),
                    content,
                });
            }
            Ok(true)
        })?;
        Ok(heads)
    })
}
