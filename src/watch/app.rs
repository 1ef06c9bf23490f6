//! The state of the screen, and what each key changes.

use std::time::{Duration, Instant};

use super::batch_command::BatchCommand;
use super::batch_rows::BatchRow;
use super::board::{Board, ChunkRow};
use super::format::count;
use super::keys::{Key, KeyMode};
use super::log_view::LogView;
use super::receipts_view::ReceiptsView;
use super::scroll_pane::ScrollPane;
use crate::error::Error;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::step::Decision;
use crate::terminal::{escape_hidden, with_commands};

/// How long a message is shown.
const MESSAGE_TIME: Duration = Duration::from_secs(10);

/// What the screen shows.
pub(super) enum View {
    /// The open batches.
    Batches,
    /// One batch.
    Batch,
    /// A chunk's receipts.
    Receipts(ReceiptsView),
    /// A chunk's log.
    Log(LogView),
    /// The keys.
    Help,
}

/// A question in the bottom row.
pub(super) enum Dialog {
    /// The reason for a decision on a chunk.
    Note { chunk: TaskId, decision: Decision, text: String },
    /// Whether to run a command; `declined` is the message if the answer is no.
    Confirm { question: String, command: BatchCommand, declined: &'static str },
}

/// What a key leads to outside of the screen's state.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Watch another batch.
    Watch(TaskId),
    /// Run a command for the batch.
    Run(BatchCommand),
    /// End the program.
    Quit,
}

/// The state of the screen.
pub(super) struct App {
    /// The views that are open; the last one is visible.
    pub(super) views: Vec<View>,
    pub(super) board: Option<Board>,
    pub(super) batches: Vec<BatchRow>,
    /// The index of the selected batch.
    pub(super) selected_batch: usize,
    /// The number of the selected chunk.
    pub(super) selected_chunk: u64,
    /// The index of the first visible chunk.
    pub(super) first_visible: usize,
    /// How many chunks are visible at once.
    pub(super) page: usize,
    /// Whether only chunks in progress or waiting for a person are listed.
    pub(super) only_open: bool,
    /// Whether the selection follows the chunks in progress.
    pub(super) is_following: bool,
    pub(super) dialog: Option<Dialog>,
    /// The last message, and whether it is an error.
    pub(super) message: Option<(String, bool)>,
    /// When the last message was shown first.
    message_since: Instant,
    /// How the commands in messages start.
    prefix: String,
}

impl App {
    /// A screen that shows this view first.
    pub(super) fn new(first: View, prefix: &str) -> Self {
        App {
            views: vec![first],
            board: None,
            batches: Vec::new(),
            selected_batch: 0,
            selected_chunk: 1,
            first_visible: 0,
            page: 1,
            only_open: false,
            is_following: true,
            dialog: None,
            message: None,
            message_since: Instant::now(),
            prefix: prefix.to_owned(),
        }
    }

    /// Shows the result of a command.
    pub(super) fn show_result(&mut self, result: Result<String, Error>) {
        let (text, is_error) = match result {
            Ok(text) => (text, false),
            Err(error) => (error.to_string(), true),
        };
        self.show_message(self.with_commands(&text), is_error);
    }

    fn show_message(&mut self, text: String, is_error: bool) {
        self.message = Some((text, is_error));
        self.message_since = Instant::now();
    }

    /// Removes a message that has been shown for a while: it is about a moment that has passed.
    pub(super) fn drop_old_message(&mut self, now: Instant) {
        if now.saturating_duration_since(self.message_since) >= MESSAGE_TIME {
            self.message = None;
        }
    }

    /// Selects the first chunk in progress, if the selection follows the work.
    pub(super) fn follow_work(&mut self) {
        let first = self.board.as_ref().and_then(Board::first_in_progress);
        if let (true, Some(first)) = (self.is_following, first) {
            self.selected_chunk = first;
        }
    }

    /// A message for the person.
    pub(super) fn with_commands(&self, text: &str) -> String {
        with_commands(&escape_hidden(text), &self.prefix)
    }

    /// How the next key is read.
    pub(super) fn key_mode(&self) -> KeyMode {
        match &self.dialog {
            None => KeyMode::Command,
            Some(Dialog::Note { .. }) => KeyMode::Text,
            Some(Dialog::Confirm { .. }) => KeyMode::Confirm,
        }
    }

    /// The indexes of the listed chunks.
    pub(super) fn listed_chunks(&self) -> Vec<usize> {
        let Some(board) = &self.board else { return Vec::new() };
        let is_open = |chunk: &ChunkRow| chunk.status == Status::InProgress || chunk.needs_person();
        let all = board.chunks.iter().enumerate();
        all.filter(|(_, chunk)| !self.only_open || is_open(chunk)).map(|(at, _)| at).collect()
    }

    /// The selected chunk.
    pub(super) fn chunk(&self) -> Option<&ChunkRow> {
        self.board.as_ref()?.chunk(self.selected_chunk)
    }

    /// Handles a key.
    pub(super) fn press(&mut self, key: Key) -> Option<Action> {
        if key == Key::Quit {
            return Some(Action::Quit);
        }
        self.message = None;
        if let Some(dialog) = self.dialog.take() {
            return self.answer(dialog, key).map(Action::Run);
        }
        let is_scrolled = match self.views.last_mut() {
            Some(View::Receipts(receipts)) => scroll(&mut receipts.pane, key),
            Some(View::Log(log)) => scroll(&mut log.pane, key),
            Some(View::Batches) => return self.choose_batch(key),
            _ => false,
        };
        if is_scrolled { None } else { self.handle_key(key) }
    }

    fn answer(&mut self, dialog: Dialog, key: Key) -> Option<BatchCommand> {
        match (dialog, key) {
            (Dialog::Confirm { command, .. }, Key::Yes) => return Some(command),
            (Dialog::Confirm { declined, .. }, _) => self.show_message(declined.to_owned(), false),
            (Dialog::Note { .. }, Key::No) => {
                self.show_message("No decision was recorded".to_owned(), false);
            }
            (Dialog::Note { chunk, decision, text }, Key::Yes) if !text.trim().is_empty() => {
                return Some(BatchCommand::Review { chunk: Some(chunk), decision, note: Some(text) });
            }
            (Dialog::Note { chunk, decision, mut text }, key) => {
                match key {
                    Key::Letter(c) => text.push(c),
                    Key::Erase => drop(text.pop()),
                    Key::EraseLine => text.clear(),
                    _ => {}
                }
                self.dialog = Some(Dialog::Note { chunk, decision, text });
            }
        }
        None
    }

    fn choose_batch(&mut self, key: Key) -> Option<Action> {
        let last = self.batches.len().saturating_sub(1);
        match key {
            Key::Up => self.selected_batch = self.selected_batch.saturating_sub(1),
            Key::Down => self.selected_batch = (self.selected_batch + 1).min(last),
            Key::PageUp | Key::First => self.selected_batch = 0,
            Key::PageDown | Key::Last => self.selected_batch = last,
            Key::Open => {
                return self.batches.get(self.selected_batch).map(|batch| Action::Watch(batch.id.clone()));
            }
            Key::Help => self.views.push(View::Help),
            _ => {}
        }
        None
    }

    fn handle_key(&mut self, key: Key) -> Option<Action> {
        // A key that selects a chunk, or acts on the selected one, must not be overtaken by the work.
        if !matches!(key, Key::Help | Key::Back | Key::OnlyOpen | Key::Pause) {
            self.is_following = false;
        }
        match key {
            Key::Follow => self.is_following = true,
            Key::Back => self.close_view(),
            Key::Help => {
                if !matches!(self.views.last(), Some(View::Help)) {
                    self.views.push(View::Help);
                }
            }
            Key::Up => self.move_selection(-1),
            Key::Down => self.move_selection(1),
            Key::PageUp => self.move_selection(-self.page.cast_signed()),
            Key::PageDown => self.move_selection(self.page.cast_signed()),
            Key::First => self.move_selection(isize::MIN),
            Key::Last => self.move_selection(isize::MAX),
            Key::Next => self.select_next_waiting(),
            Key::OnlyOpen => self.only_open = !self.only_open,
            Key::Open => self.open_chunk(|chunk, title| View::Receipts(ReceiptsView::new(chunk, title))),
            Key::Log => self.open_chunk(|chunk, title| View::Log(LogView::new(chunk, title))),
            _ => return self.command_for(key).map(Action::Run),
        }
        None
    }

    /// Goes back to the view before this one. Before a batch there is always the list.
    fn close_view(&mut self) {
        self.views.pop();
        if self.views.is_empty() {
            self.views.push(View::Batches);
        }
        if matches!(self.views.last(), Some(View::Batches)) {
            self.board = None;
        }
    }

    /// Selects another of the listed chunks.
    fn move_selection(&mut self, by: isize) {
        let listed = self.listed_chunks();
        let Some(board) = &self.board else { return };
        let from = listed.partition_point(|at| board.chunks[*at].number < self.selected_chunk);
        let to = from.saturating_add_signed(by).min(listed.len().saturating_sub(1));
        if let Some(at) = listed.get(to) {
            self.selected_chunk = board.chunks[*at].number;
        }
    }

    /// Selects the next chunk that waits for a person. After the last one the search starts at the first.
    fn select_next_waiting(&mut self) {
        let Some(board) = &self.board else { return };
        let waiting: Vec<u64> =
            board.chunks.iter().filter(|chunk| chunk.needs_person()).map(|chunk| chunk.number).collect();
        let next = waiting.iter().find(|number| **number > self.selected_chunk).or(waiting.first());
        match next {
            Some(number) => self.selected_chunk = *number,
            None => self.show_message("No chunk waits for you".to_owned(), false),
        }
    }

    /// Opens a view of the selected chunk. It replaces another view of a chunk, so that one step back leads to
    /// the batch.
    fn open_chunk(&mut self, view: fn(TaskId, &str) -> View) {
        let digits = self.board.as_ref().map_or(2, Board::digits);
        let Some(chunk) = self.chunk() else { return };
        let view = view(chunk.id.clone(), &format!("{:0digits$} {}", chunk.number, chunk.title));
        if matches!(self.views.last(), Some(View::Receipts(_) | View::Log(_))) {
            self.views.pop();
        }
        self.views.push(view);
    }

    /// The command that a key gives at once. Keys that need an answer first open a dialog.
    fn command_for(&mut self, key: Key) -> Option<BatchCommand> {
        let status = self.board.as_ref()?.header.status;
        let chunk = self.chunk().map(|chunk| chunk.id.clone());
        let approve = |chunk| BatchCommand::Review { chunk, decision: Decision::Approve, note: None };
        match (key, chunk) {
            (Key::Pause | Key::Cancel, _) if status.is_over() => {
                let text =
                    format!("The batch has ended and is {status}: there is nothing to pause or cancel");
                self.show_message(text, false);
                None
            }
            (Key::Pause, _) if status == BatchStatus::Paused => self.confirm(
                "Resume the batch? y / n".to_owned(),
                BatchCommand::Control("resume"),
                "Not resumed",
            ),
            (Key::Pause, _) => self.confirm(
                "Pause the batch? Claimed chunks can be finished. y / n".to_owned(),
                BatchCommand::Control("pause"),
                "Not paused",
            ),
            (Key::Cancel, _) => self.confirm(
                "Cancel the batch? Live claims are lost, receipts are kept. y / n".to_owned(),
                BatchCommand::Control("cancel"),
                "Not cancelled",
            ),
            (Key::Accept, _) => self.ask_to_accept(),
            (Key::ApproveAll, _) => Some(approve(None)),
            (Key::RetryAll, _) => Some(BatchCommand::Retry(None)),
            (Key::Approve, Some(chunk)) => Some(approve(Some(chunk))),
            (Key::Reject, Some(chunk)) => self.ask_reason(chunk, Decision::Reject),
            (Key::Redo, Some(chunk)) => self.ask_reason(chunk, Decision::Redo),
            (Key::Retry, Some(chunk)) => Some(BatchCommand::Retry(Some(chunk))),
            _ => None,
        }
    }

    fn confirm(
        &mut self,
        question: String,
        command: BatchCommand,
        declined: &'static str,
    ) -> Option<BatchCommand> {
        self.dialog = Some(Dialog::Confirm { question, command, declined });
        None
    }

    /// Whether something failed that nobody has retried or accepted.
    pub(super) fn has_failures(&self) -> bool {
        self.board.as_ref().is_some_and(|board| board.header.has_unresolved_failures)
    }

    /// Whether all failures can be accepted: the batch has ended, and no chunk waits for a review.
    pub(super) fn can_accept_failures(&self) -> bool {
        let Some(board) = &self.board else { return false };
        self.has_failures() && board.header.status.is_over() && board.count_in(Status::Review) == 0
    }

    fn ask_to_accept(&mut self) -> Option<BatchCommand> {
        if self.can_accept_failures() {
            let failed = self.board.as_ref().map_or(0, |board| board.header.counts.failed);
            let question = format!(
                "Accept the failures ({})? They are not tried again. y / n",
                count(failed, "failed item")
            );
            return self.confirm(question, BatchCommand::AcceptFailures, "Nothing was accepted");
        }
        let text = if self.has_failures() {
            "Failures can be accepted when the batch has ended"
        } else {
            "There are no failures to accept"
        };
        self.show_message(text.to_owned(), false);
        None
    }

    fn ask_reason(&mut self, chunk: TaskId, decision: Decision) -> Option<BatchCommand> {
        self.dialog = Some(Dialog::Note { chunk, decision, text: String::new() });
        None
    }
}

/// Scrolls a pane; returns whether the key was for that.
fn scroll(pane: &mut ScrollPane, key: Key) -> bool {
    match key {
        Key::Up => pane.scroll(1),
        Key::Down => pane.scroll(-1),
        Key::PageUp => pane.scroll(pane.page()),
        Key::PageDown => pane.scroll(-pane.page()),
        Key::First | Key::Last => pane.scroll_to_end(key == Key::First),
        _ => return false,
    }
    true
}
