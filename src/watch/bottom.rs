//! Drawing the bottom of the screen: the last message, and below it a question or the most important keys.

use unicode_width::UnicodeWidthStr as _;

use super::app::{App, Dialog, View};
use super::canvas::Canvas;
use super::format::wrap_words;
use crate::model::batch::BatchStatus;
use crate::model::status::Status;
use crate::model::step::Decision;

/// The most rows of a message, and of a question.
const MAX_ROWS: usize = 4;

/// What is shown at the bottom at this width.
pub(super) struct Bottom {
    message: Vec<String>,
    is_error: bool,
    /// The question to be answered with yes or no, in place of the keys.
    question: Vec<String>,
}

impl Bottom {
    /// The last message and the question, in rows of at most `columns`.
    pub(super) fn new(app: &App, columns: usize) -> Self {
        let (text, is_error) = app.message.as_ref().map_or(("", false), |(text, is_error)| (text, *is_error));
        let message = if text.is_empty() {
            Vec::new()
        } else {
            wrap_words(&text.replace('\n', " "), columns, MAX_ROWS)
        };
        let question = match &app.dialog {
            Some(Dialog::Confirm { question, .. }) => wrap_words(question, columns, MAX_ROWS),
            Some(Dialog::Note { .. }) | None => Vec::new(),
        };
        Bottom { message, is_error, question }
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.message.len() + self.question.len().max(1)
    }

    /// Draws it.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, app: &App) {
        let theme = canvas.theme;
        for row in &self.message {
            canvas.row(&[(row, if self.is_error { theme.bad() } else { theme.good() })]);
        }
        match &app.dialog {
            Some(Dialog::Confirm { .. }) => {
                for row in &self.question {
                    canvas.row(&[(row, theme.attention())]);
                }
            }
            Some(Dialog::Note { chunk, decision, text }) => {
                let verb = if *decision == Decision::Reject { "Reject" } else { "Redo" };
                let question = format!("{verb} {chunk} because (Enter sends, Esc cancels): ");
                // The end of a long note, which is where the person types.
                let columns = canvas.columns().saturating_sub(question.chars().count() + 1);
                let skipped = text.chars().count().saturating_sub(columns);
                let text: String = text.chars().skip(skipped).collect();
                canvas.row(&[
                    (&question, theme.attention()),
                    (&text, theme.plain()),
                    (" ", theme.selected()),
                ]);
            }
            None => canvas.row(&[(&key_hints(app, canvas.columns()), theme.dim())]),
        }
    }
}

/// The keys that have an effect now, as far as they fit.
fn key_hints(app: &App, columns: usize) -> String {
    let mut hints = match app.views.last() {
        Some(View::Batches) => vec!["↑↓ choose", "Enter watch"],
        Some(View::Batch) => batch_keys(app),
        Some(View::Receipts(_)) => vec!["Esc back", "↑↓ scroll", "l log"],
        Some(View::Log(_)) => vec!["Esc back", "↑↓ scroll", "Enter receipts"],
        Some(View::Help) | None => vec!["Esc back"],
    };
    if matches!(app.views.last(), Some(View::Receipts(_))) {
        hints.extend(review_keys(app));
    }
    let ends = match app.views.last() {
        Some(View::Help) => &["q quit"][..],
        _ => &["? help", "q quit"],
    };
    loop {
        let shown = hints.iter().chain(ends).copied().collect::<Vec<_>>().join("  ");
        // The last hints are those that matter least.
        if shown.width() <= columns || hints.pop().is_none() {
            return shown;
        }
    }
}

/// The keys for a batch, the most important ones first.
fn batch_keys(app: &App) -> Vec<&'static str> {
    let mut hints = Vec::new();
    let Some(board) = &app.board else { return vec!["Esc list"] };
    hints.extend(review_keys(app));
    if app.has_failures() {
        hints.extend(["t retry chunk", "T retry all"]);
        if app.can_accept_failures() {
            hints.push("x accept");
        }
    }
    hints.extend(["Esc list", "Enter receipts"]);
    match board.header.status {
        BatchStatus::Paused => hints.push("p resume"),
        status if status.is_over() => {}
        _ => hints.extend(["p pause", "c cancel"]),
    }
    hints.push("l log");
    hints
}

fn review_keys(app: &App) -> &'static [&'static str] {
    match &app.board {
        Some(board) if board.count_in(Status::Review) > 0 => &["a approve", "r reject", "d redo"],
        _ => &[],
    }
}
