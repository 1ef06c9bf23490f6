//! The store's file: whether it can be read, its schema, and its integrity.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::Access;

use super::context::{DoctorContext, StoreState};
use super::finding::{Finding, or_ok};
use super::permissions::{command_to_grant, command_to_open_folder};
use crate::error::{Code, Error, Result};
use crate::model::text::{agreeing, counted};
use crate::store::chains::verify_chains;
use crate::terminal::shell_path;

/// How many errors of SQLite's integrity check a message lists.
const LISTED_ERRORS: usize = 5;

/// Whether there is a store that can be read.
pub(super) fn check_file(context: &DoctorContext) -> Result<Vec<Finding>> {
    let path = context.path.display();
    Ok(vec![match &context.state {
        // The integrity check reports a damaged file.
        StoreState::Corrupt(..) | StoreState::Database(_) => return Ok(Vec::new()),
        StoreState::Missing => match why_it_cannot_be_created(&context.path) {
            Some(finding) => finding,
            None => Finding::problem(format!(
                "{path} does not exist: create-task, create-batch, run and serve create it; --db or TASKTALLY_DB names another"
            ))
            .with_fix(context.command("serve < /dev/null")),
        },
        StoreState::Refused(error) => Finding::problem(error.to_string()).with_fix(fix_for(context, error)),
        StoreState::Open(open) => Finding::ok(format!("{path} can be read, by {}", open.store.facts().engine)),
    }])
}

/// The command to use after the store could not be opened.
fn fix_for(context: &DoctorContext, error: &Error) -> String {
    match error.code {
        Code::StoreNewer => "git pull && cargo install --path .".to_owned(),
        Code::ReadOnly | Code::Internal => command_to_open_folder(&context.path)
            .unwrap_or_else(|| format!("ls -la {}", shell_path(&context.folder()))),
        // Another program, or another tasktally, has the file open.
        Code::Busy | Code::Conflict => format!("fuser -v {}", shell_path(&context.path)),
        _ => match context.path.metadata() {
            Ok(file) if file.nlink() > 1 => format!("find / -xdev -samefile {}", shell_path(&context.path)),
            _ => format!("file {}", shell_path(&context.path)),
        },
    }
}

/// The finding for a missing store whose folder or file cannot be created.
fn why_it_cannot_be_created(path: &Path) -> Option<Finding> {
    let existing = path.ancestors().skip(1).find(|part| part.symlink_metadata().is_ok())?;
    let shown = existing.display();
    if !existing.is_dir() {
        let message =
            format!("{} does not exist and cannot be created: {shown} is not a folder", path.display());
        return Some(Finding::problem(message).with_fix(format!("ls -ld {}", shell_path(existing))));
    }
    let denied = rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK).err()?;
    let message = format!(
        "{} does not exist and cannot be created: {shown} cannot be written to ({denied}); name another with --db or TASKTALLY_DB",
        path.display()
    );
    Some(Finding::problem(message).with_fix(command_to_grant(existing, denied, "u+rwx")))
}

/// Whether the store has the schema of this version.
pub(super) fn check_schema(context: &DoctorContext) -> Result<Vec<Finding>> {
    let StoreState::Open(open) = &context.state else { return Ok(Vec::new()) };
    let facts = open.store.facts();
    let (schema, newest) = (facts.schema, facts.newest_schema);
    let changes = open.store.find_schema_changes()?;
    if !changes.is_empty() {
        let message = format!(
            "another program changed it, so every other command refuses the store: {}. Restore a backup made by tasktally backup, or undo the change",
            changes.join("; ")
        );
        return Ok(vec![
            Finding::problem(message).with_fix(format!("sqlite3 {} .schema", shell_path(&context.path))),
        ]);
    }
    Ok(vec![if schema == newest {
        Finding::ok(format!("{schema}, the newest that this version knows"))
    } else if schema == 0 {
        Finding::warning("none yet: the process that created the file ended before it wrote the schema")
            .with_fix(context.command("list-tasks"))
    } else {
        Finding::warning(format!(
            "{schema}; this version migrates the store to {newest} when it next opens it. Its contents were not checked"
        ))
        .with_fix(context.command("list-tasks"))
    }])
}

/// Whether the file is intact, by SQLite's integrity check and, with `--full`, by the receipts' hash chains.
pub(super) fn check_integrity(context: &DoctorContext) -> Result<Vec<Finding>> {
    let open = match &context.state {
        StoreState::Open(open) => open,
        StoreState::Corrupt(corrupt, error) => {
            let what = match corrupt.missing_pages {
                Some((present, expected)) => format!(
                    "it has {present} of the {expected} pages that its header names, and the missing pages are lost"
                ),
                None => error.to_string(),
            };
            return Ok(vec![damaged(context, &what, corrupt.schema, corrupt.application_id)]);
        }
        _ => return Ok(Vec::new()),
    };
    let damage =
        open.store.find_damage(context.full, LISTED_ERRORS).unwrap_or_else(|error| vec![error.to_string()]);
    if !damage.is_empty() {
        let facts = open.store.facts();
        return Ok(vec![damaged(context, &damage.join("; "), facts.schema, facts.application_id)]);
    }
    let Some(open) = context.current_store().filter(|_| context.full) else {
        let more = if context.full { "" } else { "; --full also checks indexes and receipts" };
        return Ok(vec![Finding::ok(format!("SQLite finds no damage{more}"))]);
    };
    let walked = open.session.read(|tx| verify_chains(tx, Vec::new()))?;
    let changed = walked.problem.map(|bad| Finding::problem(bad).with_fix(context.command("verify")));
    let ok = format!(
        "SQLite finds no damage; {} of {} {} unchanged",
        counted(walked.receipts, "receipt"),
        counted(walked.tasks, "task"),
        agreeing(walked.receipts, "is", "are")
    );
    Ok(or_ok(changed.into_iter().collect(), ok))
}

/// The finding for a damaged file, with the command that copies what can be read to a new file beside it. The
/// damaged file is not changed.
fn damaged(context: &DoctorContext, what: &str, schema: i64, mark: i64) -> Finding {
    let suffixes = (1..).map(|n| if n == 1 { ".rescued".to_owned() } else { format!(".rescued-{n}") });
    let mut files = suffixes.map(|suffix| context.beside(&suffix));
    let file =
        files.find(|file| file.symlink_metadata().is_err()).unwrap_or_else(|| context.beside(".rescued"));
    let (from, to) = (shell_path(&context.path), shell_path(&file));
    let message = format!(
        "the file is damaged: {what}. If there is a backup made by tasktally backup, use that. Otherwise this command copies what can be read to {to}. Rows on damaged pages are lost; tasktally --db {to} verify then names a task whose receipts are incomplete"
    );
    let pragmas = format!("PRAGMA user_version = {schema}; PRAGMA application_id = {mark};");
    // With `set -C` the shell refuses an existing file, so a second run cannot insert everything twice. If pages
    // cannot be read, sqlite3 ends the dump with a ROLLBACK; sed makes it a COMMIT, to keep the readable rows. Of a page that is
    // half there, rows without values are read: OR IGNORE leaves them out.
    Finding::problem(message).with_fix(format!(
        "(umask 077; set -C; true > {to} && (sqlite3 {from} .dump | sed -e 's/^ROLLBACK;.*/COMMIT;/' -e 's/^INSERT INTO/INSERT OR IGNORE INTO/'; echo '{pragmas}') | sqlite3 {to})"
    ))
}
