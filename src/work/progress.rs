//! Shows the progress of `tasktally run` and `tasktally work`: as bars, lines or JSON.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use serde_json::{Value, json};

use crate::error::Error;
use crate::model::status::Outcome;
use crate::terminal::{
    EchoOff, bar_style, cut, is_dumb_terminal, restore_echo, terminal_columns, with_commands,
};

/// The most columns of a chunk's title before its bar, and the least.
const TITLE_COLUMNS: (usize, usize) = (28, 6);
/// The columns that everything after the title needs, with a bar of at least eight columns.
const OTHER_COLUMNS: usize = 52;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgressMode {
    /// A bar per chunk, and one for the whole batch.
    Bars,
    /// A line when a chunk ends.
    Lines,
    /// A JSON object per event, one a line.
    Json,
    /// Nothing.
    Quiet,
}

impl ProgressMode {
    /// The mode for the options of a command; bars only if standard error is a terminal that can erase them.
    pub(super) fn choose(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => ProgressMode::Json,
            (_, true) => ProgressMode::Quiet,
            _ if std::io::stderr().is_terminal() && !is_dumb_terminal() => ProgressMode::Bars,
            _ => ProgressMode::Lines,
        }
    }
}

/// The progress of one run.
pub(super) struct RunProgress {
    mode: ProgressMode,
    bars: MultiProgress,
    total_bar: ProgressBar,
    chunk_bars: Mutex<HashMap<String, ProgressBar>>,
    /// The columns of the titles.
    title: usize,
    /// The items that failed during this run.
    failed: AtomicU64,
    /// How tasktally is called for this store.
    program: String,
    /// Restores the terminal's echo at every end of the run.
    _echo: Option<EchoOff>,
}

/// A bar that starts at a position. Its rate and remaining time count only what is done from now on.
fn bar_at(total: u64, processed: u64) -> ProgressBar {
    let bar =
        ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()).with_position(processed);
    // The tick makes the estimator take note of the position; the reset makes it forget the jump to it.
    bar.tick();
    bar.reset_eta();
    bar
}

/// The template of the total's bar. The bar takes the columns that are left, so that the line is never wider than the
/// terminal: what a wrapped line covered could not be erased.
fn total_template(title: usize, colour: &str, end: &str) -> String {
    format!(
        "{{prefix:{title}!}} {{pos:>6}}/{{len:<6}} {{wide_bar:.{colour}}} {{percent:>3}} %  {{rate}}  {{eta}} left{end}"
    )
}

/// The columns of the titles in a terminal with this many columns.
fn title_columns(terminal: usize) -> usize {
    terminal.saturating_sub(OTHER_COLUMNS).clamp(TITLE_COLUMNS.1, TITLE_COLUMNS.0)
}

impl RunProgress {
    /// The progress of a batch of `total` items, of which some are `processed` already.
    pub(super) fn new(mode: ProgressMode, total: u64, processed: u64) -> Self {
        let target = if mode == ProgressMode::Bars {
            ProgressDrawTarget::stderr_with_hz(15)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bars = MultiProgress::with_draw_target(target);
        let total_bar = bars.add(bar_at(total, processed));
        let title = title_columns(terminal_columns().unwrap_or(80));
        total_bar.set_style(bar_style(&total_template(title, "green", "")));
        total_bar.set_prefix("all");
        if mode == ProgressMode::Bars {
            total_bar.enable_steady_tick(Duration::from_millis(500));
        }
        RunProgress {
            mode,
            bars,
            total_bar,
            chunk_bars: Mutex::default(),
            title,
            failed: AtomicU64::new(0),
            program: "tasktally".to_owned(),
            _echo: (mode == ProgressMode::Bars).then(EchoOff::new),
        }
    }

    /// The same for a person who calls tasktally as `program`.
    pub(super) fn with_program(self, program: &str) -> Self {
        RunProgress { program: program.to_owned(), ..self }
    }

    /// Progress that is not shown.
    pub(super) fn hidden() -> Self {
        RunProgress::new(ProgressMode::Quiet, 0, 0)
    }

    fn chunk_bars(&self) -> MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.chunk_bars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a JSON event in that mode.
    pub(super) fn event(&self, event: &Value) {
        if self.mode == ProgressMode::Json {
            // A closed pipe does not stop the work.
            writeln!(std::io::stdout().lock(), "{event}").ok();
        }
    }

    fn line(&self, text: &str) {
        if self.mode == ProgressMode::Lines {
            writeln!(std::io::stderr().lock(), "{text}").ok();
        }
    }

    /// A chunk was claimed.
    pub(super) fn chunk_claimed(&self, id: &str, title: &str, items_left: u64) {
        self.event(
            &json!({ "event": "chunk_claimed", "chunk": id, "title": title, "items_left": items_left }),
        );
        if self.mode == ProgressMode::Bars {
            let bar = self.bars.insert_before(&self.total_bar, ProgressBar::new(items_left));
            let template = format!("{{prefix:{}!}} {{pos:>6}}/{{len:<6}} {{wide_bar:.cyan}}", self.title);
            bar.set_style(bar_style(&template));
            bar.set_prefix(cut(title, self.title));
            self.chunk_bars().insert(id.to_owned(), bar);
        }
    }

    /// An item was settled.
    pub(super) fn item_settled(
        &self,
        chunk: &str,
        key: &str,
        outcome: &str,
        category: Option<&str>,
        receipt: u64,
    ) {
        self.event(&json!({ "event": "item", "chunk": chunk, "item": key, "outcome": outcome, "category": category, "receipt": receipt }));
        self.total_bar.inc(1);
        if outcome == Outcome::Failed.as_str() {
            self.count_failure();
        }
        if let Some(bar) = self.chunk_bars().get(chunk) {
            bar.inc(1);
        }
    }

    /// Counts a failed item: the total's bar is no longer green and shows how many failed.
    fn count_failure(&self) {
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        if failed == 1 {
            self.total_bar.set_style(bar_style(&total_template(self.title, "yellow", "  {msg:.red}")));
        }
        self.total_bar.set_message(format!("{failed} failed"));
    }

    /// Several items were settled by a process that works a whole chunk.
    pub(super) fn items_settled(&self, count: u64) {
        self.total_bar.inc(count);
    }

    /// A chunk was completed or released.
    pub(super) fn chunk_ended(&self, id: &str, title: &str, status: &str) {
        self.event(&json!({ "event": "chunk_ended", "chunk": id, "title": title, "status": status }));
        let count = match self.total_bar.length() {
            Some(total) if total > 0 => format!(" ({} of {total} items)", self.total_bar.position()),
            _ => String::new(),
        };
        self.line(&format!("{id}  {title}: {status}{count}"));
        if let Some(bar) = self.chunk_bars().remove(id) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// A message for the person at the terminal, or a `note` event.
    pub(super) fn note(&self, text: &str) {
        match self.mode {
            ProgressMode::Bars => {
                self.bars.suspend(|| writeln!(std::io::stderr().lock(), "{text}").ok().unwrap_or(()))
            }
            ProgressMode::Lines => self.line(text),
            ProgressMode::Json => self.event(&json!({ "event": "note", "message": text })),
            ProgressMode::Quiet => {}
        }
    }

    /// The run was asked to stop, and waits for its workers.
    pub(super) fn stopping(&self) {
        // The readers of JSON see the end of the run.
        if matches!(self.mode, ProgressMode::Bars | ProgressMode::Lines) {
            self.note("Stopping: waiting for the items in work. A second Ctrl-C or TERM ends them at once");
        }
    }

    /// An error, with the commands that a person types.
    pub(super) fn note_error(&self, error: &Error) {
        self.note(&with_commands(&error.to_string(), &self.program));
    }

    /// Removes the bars.
    pub(super) fn finish(&self) {
        // Chunks that were stopped still have a bar.
        for (_, bar) in self.chunk_bars().drain() {
            bar.finish_and_clear();
        }
        self.total_bar.finish_and_clear();
        self.bars.clear().ok();
        restore_echo();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_leave_room_for_the_rest_of_the_line() {
        let columns: Vec<usize> = [20, 40, 60, 80, 200].into_iter().map(title_columns).collect();
        assert_eq!(columns, [6, 6, 8, 28, 28]);
    }

    #[test]
    fn the_rate_of_a_resumed_run_leaves_out_what_was_done_before() {
        let bar = bar_at(2_000_000, 1_000_000);
        std::thread::sleep(Duration::from_millis(20));
        bar.inc(1);
        bar.tick();
        assert!(bar.per_sec() < 1_000.0, "{} a second", bar.per_sec());
        assert_eq!(bar.position(), 1_000_001);
    }
}
