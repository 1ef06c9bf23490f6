//! `tasktally doctor`: what is wrong with a store, its disk, its work and the configuration, and the command
//! that mends each. It only reads, also what cannot be opened; `--mend` clears what runners left behind.

mod batches;
mod configuration;
mod context;
mod disk;
mod finding;
mod leftovers;
mod log;
mod permissions;
mod show;
mod store;

use std::io::Write;
use std::path::Path;

use context::DoctorContext;
use finding::{Finding, Level};
use show::{Named, as_json, as_text, in_colour, summary};

use super::render::{safe, say};
use crate::error::Result;

/// What is wrong, and the command that mends it.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Also what takes long: every index, every receipt
    #[arg(long)]
    full: bool,
    /// Clear what runners left behind when they were killed, then look
    #[arg(long)]
    mend: bool,
}

/// Looks at one thing; nothing is found where it cannot be looked at for a reason that another check tells.
type Look = fn(&DoctorContext) -> Result<Vec<Finding>>;

/// What is looked at: its name, the exit code where it has a problem (2: the set-up, 1: what is in it), and how.
const CHECKS: [(&str, u8, Look); 12] = [
    ("file", 2, store::file),
    ("permissions", 2, permissions::permissions),
    ("file system", 2, disk::file_system),
    ("room", 2, disk::room),
    ("schema", 2, store::schema),
    ("log", 1, log::log),
    ("integrity", 1, store::integrity),
    ("runners", 1, batches::runners),
    ("batches", 1, batches::batches),
    ("claims", 1, batches::claims),
    ("leftovers", 1, leftovers::leftovers),
    ("configuration", 2, configuration::configuration),
];

/// Looks, and says what was found; gives the exit code.
///
/// # Errors
/// Where there is no place for a store.
pub(super) fn run(request: &Doctor, db: Option<&Path>, json: bool, out: &mut impl Write) -> Result<u8> {
    let mended = if request.mend { leftovers::mend(db) } else { Ok(Vec::new()) };
    let context = DoctorContext::of(db, request.full)?;
    let mut all: Vec<Named<'_>> = Vec::new();
    let mut code = 0;
    for (name, bad, look) in CHECKS {
        // What cannot be looked at is a problem itself, and keeps nothing else from being looked at.
        let found = look(&context).unwrap_or_else(|error| vec![Finding::problem(error.to_string())]);
        if found.iter().any(|finding| finding.level == Level::Problem) {
            code = code.max(bad);
        }
        all.extend(found.into_iter().map(|finding| (name, finding)));
    }
    let mended = mended.unwrap_or_else(|error| {
        code = code.max(1);
        all.push(("mend", Finding::problem(format!("nothing could be cleared: {error}"))));
        Vec::new()
    });
    let message = summary(&all);
    let text = if json {
        let mut reply = as_json(code == 0, &message, &context.path.display().to_string(), &all);
        if request.mend {
            reply["mended"] = mended.into();
        }
        reply.to_string()
    } else {
        let mended: String = mended.iter().map(|line| format!("{}\n", safe(line))).collect();
        format!("{mended}{}\n\n{message}", as_text(&all, in_colour()))
    };
    say(out, &text)?;
    Ok(code)
}
