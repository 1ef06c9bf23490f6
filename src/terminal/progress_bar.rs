//! Progress bars on standard error.

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::time::Duration;

use super::colour::is_dumb_terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// The style of every progress bar, with the fields that the template names. `rate` is the items per second.
pub(crate) fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            write!(out, "{:.0}/s", state.per_sec()).ok();
        })
        .progress_chars("━╸ ")
}

/// One progress bar for a copy, an export or an import. It is shown on a terminal only, and is cleared when
/// this value is dropped.
pub(crate) struct ProgressLine(ProgressBar);

impl ProgressLine {
    /// An empty bar; with `hidden` nothing is ever shown.
    pub(crate) fn new(hidden: bool) -> Self {
        let is_shown = !hidden && !is_dumb_terminal() && std::io::stderr().is_terminal();
        let target =
            if is_shown { ProgressDrawTarget::stderr_with_hz(15) } else { ProgressDrawTarget::hidden() };
        let line = ProgressLine(ProgressBar::with_draw_target(None, target));
        line.update("Opening", 0, 0);
        if is_shown {
            line.0.enable_steady_tick(Duration::from_millis(200));
        }
        line
    }

    /// Shows what is done and how far it is. A total of 0 means that the total is not known yet.
    pub(crate) fn update(&self, phase: &str, done: u64, total: u64) {
        let template = if total == 0 {
            "{msg:<10} {spinner}"
        } else {
            "{msg:<10} {wide_bar:.green} {percent:>3} %  {eta} left"
        };
        if total > 0 {
            self.0.set_length(total);
            self.0.set_position(done);
        }
        self.0.set_message(phase.to_owned());
        self.0.set_style(bar_style(template));
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
