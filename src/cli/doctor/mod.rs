//! `tasktally doctor`: checks a store, its disk, its batches and the configuration, and names the command that
//! fixes each problem.
//!
//! The checks only read, and also report on a store that cannot be opened. `--fix` first removes what dead
//! runners left behind.

mod clients;
mod configuration;
mod context;
mod database;
mod disk;
mod durability;
mod finding;
mod leftovers;
mod output;
mod permissions;
mod store;
mod wal;
mod work;

use std::io::Write;
use std::path::Path;

use context::DoctorContext;
use finding::{Finding, Level};
use output::{Named, as_json, as_text, summary};

use crate::error::Result;
use crate::terminal::{escape_hidden, print_line, stdout_has_colours};

/// Check the store, its disk, its batches and the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Also run the slow checks, which read every index and every receipt
    #[arg(long)]
    full: bool,
    /// First remove what runners left behind when they were killed
    #[arg(long)]
    fix: bool,
}

/// One check. It returns no findings if another check reports why this one is impossible.
struct Check {
    name: &'static str,
    /// The exit code for a problem: 2 for the set-up, 1 for the store's contents.
    exit_code: u8,
    run: fn(&DoctorContext) -> Result<Vec<Finding>>,
}

const fn check(name: &'static str, exit_code: u8, run: fn(&DoctorContext) -> Result<Vec<Finding>>) -> Check {
    Check { name, exit_code, run }
}

/// The checks of a store in PostgreSQL, in the order of the output.
const DATABASE_CHECKS: [Check; 14] = [
    check("database", 2, database::check_server),
    check("schema", 2, database::check_schema),
    check("permissions", 2, database::check_rights),
    check("connections", 1, database::check_connections),
    check("durability", 1, durability::check_durability),
    check("standbys", 1, durability::check_standbys),
    check("size", 1, database::check_size),
    check("integrity", 1, database::check_integrity),
    check("runners", 1, work::check_runners),
    check("batches", 1, work::check_batches),
    check("claims", 1, work::check_claims),
    check("leftovers", 1, leftovers::check_leftovers),
    check("configuration", 2, configuration::check_configuration),
    check("clients", 2, clients::check_clients),
];

/// The checks of a store in a file, in the order of the output.
const CHECKS: [Check; 13] = [
    check("file", 2, store::check_file),
    check("permissions", 2, permissions::check_permissions),
    check("file system", 2, disk::check_file_system),
    check("free space", 2, disk::check_free_space),
    check("schema", 2, store::check_schema),
    check("WAL", 1, wal::check_wal),
    check("integrity", 1, store::check_integrity),
    check("runners", 1, work::check_runners),
    check("batches", 1, work::check_batches),
    check("claims", 1, work::check_claims),
    check("leftovers", 1, leftovers::check_leftovers),
    check("configuration", 2, configuration::check_configuration),
    check("clients", 2, clients::check_clients),
];

/// Runs all checks, prints the findings and returns the exit code.
///
/// # Errors
/// If the store's path is unknown, or the output cannot be written.
pub(super) fn run(request: &Doctor, db: Option<&Path>, json: bool, out: &mut impl Write) -> Result<u8> {
    let fixed = if request.fix { leftovers::remove(db) } else { Ok(Vec::new()) };
    let context = DoctorContext::of(db, request.full)?;
    let mut all: Vec<Named<'_>> = Vec::new();
    let mut code = 0;
    let checks = if context.is_database() { &DATABASE_CHECKS[..] } else { &CHECKS[..] };
    for check in checks {
        // A check that fails is a problem itself, and the other checks still run.
        let findings =
            (check.run)(&context).unwrap_or_else(|error| vec![Finding::problem(error.to_string())]);
        if findings.iter().any(|finding| finding.level == Level::Problem) {
            code = code.max(check.exit_code);
        }
        all.extend(findings.into_iter().map(|finding| (check.name, finding)));
    }
    let fixed = fixed.unwrap_or_else(|error| {
        code = code.max(1);
        all.push(("fix", Finding::problem(format!("nothing could be removed: {error}"))));
        Vec::new()
    });
    let message = summary(&all);
    let text = if json {
        let mut reply = as_json(code == 0, &message, &context.path.display().to_string(), &all);
        if request.fix {
            reply["fixed"] = fixed.into();
        }
        reply.to_string()
    } else {
        let fixed: String = fixed.iter().map(|line| format!("{}\n", escape_hidden(line))).collect();
        format!("{fixed}{}\n\n{message}", as_text(&all, stdout_has_colours()))
    };
    print_line(out, &text)?;
    Ok(code)
}
