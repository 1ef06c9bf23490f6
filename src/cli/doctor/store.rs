//! The file itself: whether it is there and can be read, its schema, and whether it is whole.

use super::finding::{Finding, or_ok, path_word};
use super::scene::{Found, Opened, Scene};
use crate::error::{Code, Result};
use crate::store::chains::walk;

/// How many lines of damage are told.
const MOST: usize = 5;

/// Whether there is a store that can be read.
pub(super) fn file(scene: &Scene) -> Result<Vec<Finding>> {
    let path = scene.path.display();
    Ok(vec![match &scene.found {
        Found::Nothing => Finding::problem(format!(
            "there is none at {path}: the first command that writes makes it; --db or DOCKET_DB names another"
        ))
        .mend(scene.docket("list-tasks")),
        Found::Refused(error) => {
            let finding = Finding::problem(error.to_string());
            match error.code {
                Code::StoreNewer => finding.mend("git pull && cargo install --path ."),
                Code::ReadOnly => finding.mend(format!("ls -la {}", path_word(&scene.folder()))),
                // Nothing but a copy that was kept elsewhere helps.
                Code::Internal => {
                    finding.mend(format!("sqlite3 {} 'PRAGMA integrity_check'", path_word(&scene.path)))
                }
                _ => finding.mend(format!("file {}", path_word(&scene.path))),
            }
        }
        Found::Open(opened) => {
            Finding::ok(format!("{path} can be read, with {}", opened.store.facts().engine))
        }
    }])
}

/// Whether it has the schema that this docket knows.
pub(super) fn schema(scene: &Scene) -> Result<Vec<Finding>> {
    let Found::Open(opened) = &scene.found else { return Ok(Vec::new()) };
    let facts = opened.store.facts();
    let (has, newest) = (facts.schema, facts.newest);
    Ok(vec![if has == newest {
        Finding::ok(format!("{has}, the newest that this docket knows"))
    } else if has == 0 {
        Finding::warning("none yet: whoever made the file ended before the store was in it")
            .mend(scene.docket("list-tasks"))
    } else {
        Finding::warning(format!(
            "{has}; this docket knows {newest}, and brings it up to date when it next opens it. What is in it was not looked at"
        ))
        .mend(scene.docket("list-tasks"))
    }])
}

/// Whether it is whole: as SQLite sees it, and with all its receipts as they were written.
pub(super) fn integrity(scene: &Scene) -> Result<Vec<Finding>> {
    let Found::Open(opened) = &scene.found else { return Ok(Vec::new()) };
    let damage = match opened.store.damage(scene.full, MOST) {
        Ok(damage) => damage,
        Err(error) => vec![error.to_string()],
    };
    if !damage.is_empty() {
        let finding = format!("the file is damaged: {}", damage.join("; "));
        return Ok(vec![Finding::problem(finding).mend(rescue(scene, opened))]);
    }
    let Some(opened) = scene.opened().filter(|_| scene.full) else {
        let more = if scene.full { "" } else { "; --full compares indexes and receipts, too" };
        return Ok(vec![Finding::ok(format!("SQLite finds the file whole{more}"))]);
    };
    let walked = opened.docket.read(|tx| walk(tx, Vec::new()))?;
    let forged = walked.bad.map(|bad| Finding::problem(bad).mend(scene.docket("verify")));
    let well = format!(
        "SQLite finds the file whole; {} receipts of {} tasks are as they were written",
        walked.receipts, walked.tasks
    );
    Ok(or_ok(forged.into_iter().collect(), well))
}

/// What can be read is written into a new file beside the damaged one; that one stays.
fn rescue(scene: &Scene, opened: &Opened) -> String {
    let (from, to) = (path_word(&scene.path), path_word(&scene.beside(".rescued")));
    let set = format!(
        "PRAGMA user_version = {}; PRAGMA application_id = {};",
        opened.store.facts().schema,
        opened.store.facts().mark
    );
    // What cannot be read ends the dump with a ROLLBACK of all that could be.
    format!("umask 077; (sqlite3 {from} .dump | sed 's/^ROLLBACK;.*/COMMIT;/'; echo '{set}') | sqlite3 {to}")
}
