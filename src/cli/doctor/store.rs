//! The file itself: whether it is there and can be read, its schema, and whether it is whole.

use super::context::{DoctorContext, Found};
use super::finding::{Finding, or_ok};
use super::permissions::let_in;
use crate::cli::shell::path_word;
use crate::error::{Code, Result};
use crate::store::chains::walk;

/// How many lines of damage are told.
const MOST: usize = 5;

/// Whether there is a store that can be read.
pub(super) fn file(context: &DoctorContext) -> Result<Vec<Finding>> {
    let path = context.path.display();
    Ok(vec![match &context.found {
        // What is in it is told of elsewhere.
        Found::Damaged(..) => return Ok(Vec::new()),
        Found::Nothing => Finding::problem(format!(
            "there is none at {path}: the first command that writes makes it; --db or TASKTALLY_DB names another"
        ))
        .mend(context.command("list-tasks")),
        Found::Refused(error) => {
            let finding = Finding::problem(error.to_string());
            match error.code {
                Code::StoreNewer => finding.mend("git pull && cargo install --path ."),
                Code::ReadOnly | Code::Internal => {
                    let folder = context.folder();
                    finding
                        .mend(let_in(&context.path).unwrap_or_else(|| format!("ls -la {}", path_word(&folder))))
                }
                _ => finding.mend(format!("file {}", path_word(&context.path))),
            }
        }
        Found::Open(opened) => {
            Finding::ok(format!("{path} can be read, with {}", opened.store.facts().engine))
        }
    }])
}

/// Whether it has the schema that this tasktally knows.
pub(super) fn schema(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Found::Open(opened) = &context.found else { return Ok(Vec::new()) };
    let facts = opened.store.facts();
    let (has, newest) = (facts.schema, facts.newest);
    Ok(vec![if has == newest {
        Finding::ok(format!("{has}, the newest that this tasktally knows"))
    } else if has == 0 {
        Finding::warning("none yet: whoever made the file ended before the store was in it")
            .mend(context.command("list-tasks"))
    } else {
        Finding::warning(format!(
            "{has}; this tasktally knows {newest}, and brings it up to date when it next opens it. What is in it was not looked at"
        ))
        .mend(context.command("list-tasks"))
    }])
}

/// Whether it is whole: as SQLite sees it, and with all its receipts as they were written.
pub(super) fn integrity(context: &DoctorContext) -> Result<Vec<Finding>> {
    let opened = match &context.found {
        Found::Open(opened) => opened,
        Found::Damaged(wreck, error) => {
            let what = match wreck.short {
                Some((there, of)) => format!(
                    "it is shorter than its header says: {there} of {of} pages are there, and what was cut off is lost"
                ),
                None => error.to_string(),
            };
            return Ok(vec![damaged(context, &what, wreck.schema, wreck.mark)]);
        }
        _ => return Ok(Vec::new()),
    };
    let damage = match opened.store.damage(context.full, MOST) {
        Ok(damage) => damage,
        Err(error) => vec![error.to_string()],
    };
    if !damage.is_empty() {
        let facts = opened.store.facts();
        return Ok(vec![damaged(context, &damage.join("; "), facts.schema, facts.mark)]);
    }
    let Some(opened) = context.opened().filter(|_| context.full) else {
        let more = if context.full { "" } else { "; --full compares indexes and receipts, too" };
        return Ok(vec![Finding::ok(format!("SQLite finds the file whole{more}"))]);
    };
    let walked = opened.session.read(|tx| walk(tx, Vec::new()))?;
    let forged = walked.bad.map(|bad| Finding::problem(bad).mend(context.command("verify")));
    let well = format!(
        "SQLite finds the file whole; {} receipts of {} tasks are as they were written",
        walked.receipts, walked.tasks
    );
    Ok(or_ok(forged.into_iter().collect(), well))
}

/// Damage, with the command that writes what can be read into a new file beside the damaged one; that one stays.
fn damaged(context: &DoctorContext, what: &str, schema: i64, mark: i64) -> Finding {
    let names = (1..).map(|n| if n == 1 { ".rescued".to_owned() } else { format!(".rescued-{n}") });
    let mut files = names.map(|ending| context.beside(&ending));
    let file =
        files.find(|file| file.symlink_metadata().is_err()).unwrap_or_else(|| context.beside(".rescued"));
    let (from, to) = (path_word(&context.path), path_word(&file));
    let told = format!(
        "the file is damaged: {what}. A backup that tasktally backup made earlier is better, where there is one. Else rescue what can be read into {to}: rows on damaged pages are lost, and afterwards tasktally --db {to} verify tells whose receipts are not all there"
    );
    let set = format!("PRAGMA user_version = {schema}; PRAGMA application_id = {mark};");
    // The shell makes the file, and refuses to where it is there: a second run would pour everything in again.
    // What cannot be read ends the dump with a ROLLBACK of all that could be.
    Finding::problem(told).mend(format!(
        "(umask 077; set -C; true > {to} && (sqlite3 {from} .dump | sed 's/^ROLLBACK;.*/COMMIT;/'; echo '{set}') | sqlite3 {to})"
    ))
}
