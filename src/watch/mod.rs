//! `tasktally watch`: a batch as it is worked, on a terminal's screen or as a line a change.
//!
//! `feed` reads what changed into a `board`; `app` is what a person looks at and asks for, `keys` and
//! `act` what they press and what comes of it; `screen` and the files of its parts draw. Only `terminal`
//! knows that there is one.

mod act;
mod app;
mod batches;
mod board;
mod chunks;
mod feed;
mod keys;
mod log;
mod paint;
mod pane;
mod plain;
mod receipts;
mod screen;
mod sides;
mod style;
mod terminal;
mod top;
mod words;

use std::io::IsTerminal;

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;

/// Watch a batch: what is done, who works, what waits for you.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// The batch; none: the open ones, to choose from
    #[arg(value_name = "BATCH")]
    batch: Option<TaskId>,
    /// A line a change, until the batch has ended; so too where no terminal is there
    #[arg(long)]
    plain: bool,
}

/// Shows a batch until it is left (on a screen) or has ended (as lines); gives the exit code.
///
/// # Errors
/// What cannot be read, or shown on this terminal.
pub fn run(request: &Watch, session: &Session, json: bool) -> Result<u8> {
    if request.plain || json || !has_screen() {
        let batch = match &request.batch {
            Some(batch) => batch.clone(),
            None => match batches::only_one(session)? {
                Some(batch) => batch,
                None => {
                    plain::none(json)?;
                    return Ok(3);
                }
            },
        };
        return plain::run(session, &batch, json);
    }
    if let Some(batch) = &request.batch {
        feed::exists(session, batch)?;
    }
    terminal::run(session, request.batch.clone(), style::Theme::of_environment())
}

/// Whether there is a terminal that can move its cursor.
fn has_screen() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !dumb && std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

fn cannot_show(error: std::io::Error) -> Error {
    Error::internal("the screen cannot be drawn; tasktally watch --plain writes lines", error)
}

#[cfg(test)]
mod tests;
