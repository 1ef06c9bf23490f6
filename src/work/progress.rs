//! What a person or a script sees while a batch is worked.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Bars by chunk and for the whole.
    Bars,
    /// A line a chunk.
    Lines,
    /// A JSON object a line.
    Json,
    /// Nothing.
    Quiet,
}

impl Manner {
    /// Bars where somebody watches.
    pub(super) fn choose(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Manner::Json,
            (_, true) => Manner::Quiet,
            _ if std::io::stderr().is_terminal() => Manner::Bars,
            _ => Manner::Lines,
        }
    }
}

/// The progress of one run.
pub(super) struct Progress {
    manner: Manner,
    bars: MultiProgress,
    whole: ProgressBar,
    chunks: Mutex<HashMap<String, ProgressBar>>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

impl Progress {
    /// Of a batch with so many items, some of them processed already.
    pub(super) fn new(manner: Manner, total: u64, processed: u64) -> Self {
        let target = if manner == Manner::Bars {
            ProgressDrawTarget::stderr_with_hz(15)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bars = MultiProgress::with_draw_target(target);
        let whole = bars.add(ProgressBar::new(total).with_position(processed));
        whole.set_style(style(
            "{prefix:<28} {bar:32.green} {pos:>6}/{len:<6} {percent:>3} %  {per_sec}  {eta} left",
        ));
        whole.set_prefix("all");
        if manner == Manner::Bars {
            whole.enable_steady_tick(Duration::from_millis(500));
        }
        Progress { manner, bars, whole, chunks: Mutex::default() }
    }

    /// A JSON event, where those are asked for.
    pub(super) fn event(&self, event: &Value) {
        if self.manner == Manner::Json {
            // A reader that went away does not end the work.
            writeln!(std::io::stdout().lock(), "{event}").ok();
        }
    }

    fn line(&self, text: &str) {
        if self.manner == Manner::Lines {
            writeln!(std::io::stderr().lock(), "{text}").ok();
        }
    }

    /// A chunk was claimed.
    pub(super) fn chunk_begins(&self, id: &str, title: &str, left: u64) {
        self.event(&json!({ "event": "chunk_claimed", "chunk": id, "title": title, "items_left": left }));
        if self.manner == Manner::Bars {
            let bar = self.bars.insert_before(&self.whole, ProgressBar::new(left));
            bar.set_style(style("{prefix:<28} {bar:32.cyan} {pos:>6}/{len:<6} {msg}"));
            bar.set_prefix(title.chars().take(28).collect::<String>());
            self.chunks.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), bar);
        }
    }

    /// An item was settled.
    pub(super) fn item(&self, chunk: &str, key: &str, outcome: &str, category: Option<&str>, number: u64) {
        self.event(&json!({ "event": "item", "chunk": chunk, "item": key, "outcome": outcome, "category": category, "receipt": number }));
        self.whole.inc(1);
        if let Some(bar) = self.chunks.lock().unwrap_or_else(PoisonError::into_inner).get(chunk) {
            bar.inc(1);
        }
    }

    /// So many more items were settled, by a worker that has the whole chunk.
    pub(super) fn advance(&self, items: u64) {
        self.whole.inc(items);
    }

    /// A chunk was completed, or given back.
    pub(super) fn chunk_ends(&self, id: &str, title: &str, status: &str) {
        self.event(&json!({ "event": "chunk_ended", "chunk": id, "title": title, "status": status }));
        let count = match self.whole.length() {
            Some(total) if total > 0 => format!(" ({} of {total} items)", self.whole.position()),
            _ => String::new(),
        };
        self.line(&format!("{id}  {title}: {status}{count}"));
        if let Some(bar) = self.chunks.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// Something a person should read.
    pub(super) fn say(&self, text: &str) {
        match self.manner {
            Manner::Bars => {
                self.bars.suspend(|| writeln!(std::io::stderr().lock(), "{text}").ok().unwrap_or(()))
            }
            Manner::Lines => self.line(text),
            Manner::Json => self.event(&json!({ "event": "note", "message": text })),
            Manner::Quiet => {}
        }
    }

    /// The work is over: the bars go away.
    pub(super) fn finish(&self) {
        self.whole.finish_and_clear();
    }
}
