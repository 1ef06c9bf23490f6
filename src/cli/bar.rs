//! How far a copy, an export or an import is: a bar for a person who looks, nothing for a script.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar; it goes away with this value.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Nothing is done yet.
    pub(super) fn new(json: bool) -> Self {
        let seen = !json && std::io::stderr().is_terminal();
        let target = if seen { ProgressDrawTarget::stderr_with_hz(15) } else { ProgressDrawTarget::hidden() };
        let bar = Bar(ProgressBar::with_draw_target(None, target));
        bar.show("Opening", 0, 0);
        if seen {
            bar.0.enable_steady_tick(Duration::from_millis(200));
        }
        bar
    }

    /// So much of so much is done; 0 where nobody knows of how much.
    pub(super) fn show(&self, what: &str, done: u64, of: u64) {
        let template = if of == 0 {
            "{msg:<10} {spinner}"
        } else {
            "{msg:<10} {bar:32.green} {percent:>3} %  {eta} left"
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸ ");
        if of > 0 {
            self.0.set_length(of);
            self.0.set_position(done);
        }
        self.0.set_message(what.to_owned());
        self.0.set_style(style);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
