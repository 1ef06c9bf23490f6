//! `tasktally watch`: a batch while it is worked on, on a terminal's screen or as one line per change.
//!
//! `poller` reads changes from the store into a `board`; `process_facts` checks which processes live. `app` holds what the person sees and does; `keys` and
//! `batch_command` are the keys and the commands they give. `screen` and the files of its parts draw. Only
//! `screen_loop` reads and writes the terminal.

mod app;
mod batch_command;
mod batch_list;
mod batch_rows;
mod board;
mod bottom;
mod canvas;
mod chunk_list;
mod format;
mod header;
mod keys;
mod log_view;
mod panels;
mod plain_output;
mod poller;
mod process_facts;
mod receipts_view;
mod screen;
mod screen_loop;
mod scroll_pane;
mod theme;

use std::io::IsTerminal;

use crate::error::Result;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::terminal::is_dumb_terminal;

/// Watch a batch: its progress, its workers and what waits for you.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// The batch's id [default: choose from the open batches]
    #[arg(value_name = "BATCH")]
    batch: Option<TaskId>,
    /// Print one line per change until the batch has ended or is paused; this is the default without a terminal
    #[arg(long)]
    plain: bool,
}

/// Shows a batch on a screen until the person leaves, or prints lines until the batch has ended or is paused. Returns the exit
/// code. Messages name commands as calls of `prefix`, such as `tasktally --db FILE`.
///
/// # Errors
/// If the batch cannot be read, or the terminal cannot show it.
pub fn run(request: &Watch, session: &Session, prefix: &str, json: bool) -> Result<u8> {
    if request.plain || json || !has_screen() {
        let batch = match &request.batch {
            Some(batch) => batch.clone(),
            None => match batch_rows::the_only_open_batch(session)? {
                Some(batch) => batch,
                None => {
                    plain_output::print_no_batch(json)?;
                    return Ok(3);
                }
            },
        };
        return plain_output::run(session, &batch, prefix, json);
    }
    if let Some(batch) = &request.batch {
        poller::check_exists(session, batch)?;
    }
    screen_loop::run(session, request.batch.clone(), prefix, theme::Theme::from_environment())
}

/// Whether standard input and output are a terminal with a movable cursor.
fn has_screen() -> bool {
    !is_dumb_terminal() && std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

#[cfg(test)]
mod tests;
