//! What a person looks at, and what each key does to it.

use super::act::Order;
use super::batches::OpenBatch;
use super::board::{Board, ChunkRow};
use super::keys::{Key, Mode};
use super::log::Log;
use super::pane::Pane;
use super::receipts::Receipts;
use crate::cli::safe;
use crate::error::Error;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::step::Decision;

/// What fills the screen.
pub(super) enum View {
    /// The open batches.
    Batches,
    /// One batch.
    Batch,
    /// A chunk's receipts.
    Receipts(Receipts),
    /// A chunk's log.
    Log(Log),
    /// The keys.
    Help,
}

/// What the person is asked at the bottom.
pub(super) enum Ask {
    /// Why a chunk is rejected or redone.
    Note { chunk: TaskId, decision: Decision, text: String },
    /// Whether the batch is to be cancelled.
    Cancel,
}

/// What a key leads to beyond the screen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Want {
    /// Another batch.
    Watch(TaskId),
    /// An operation.
    Do(Order),
    /// The end.
    Quit,
}

/// The screen's state.
pub(super) struct App {
    /// What is open, the topmost last.
    pub(super) views: Vec<View>,
    pub(super) board: Option<Board>,
    pub(super) open: Vec<OpenBatch>,
    /// The batch in the list that is selected.
    pub(super) picked: usize,
    /// The chunk that is selected, by its number.
    pub(super) selected: u64,
    /// The place of the first chunk in view.
    pub(super) top: usize,
    /// How many chunks are in view.
    pub(super) page: usize,
    /// Whether only chunks at work or waiting for a person are listed.
    pub(super) only_open: bool,
    pub(super) ask: Option<Ask>,
    /// What was said last, and whether it is bad news.
    pub(super) message: Option<(String, bool)>,
}

impl App {
    /// With a list of batches or a batch first.
    pub(super) fn new(first: View) -> Self {
        App {
            views: vec![first],
            board: None,
            open: Vec::new(),
            picked: 0,
            selected: 1,
            top: 0,
            page: 1,
            only_open: false,
            ask: None,
            message: None,
        }
    }

    /// Says something at the bottom.
    pub(super) fn say(&mut self, said: Result<String, Error>) {
        self.message = Some(match said {
            Ok(text) => (safe(&text), false),
            Err(error) => (safe(&error.to_string()), true),
        });
    }

    /// What keys go to now.
    pub(super) fn mode(&self) -> Mode {
        match &self.ask {
            None => Mode::Command,
            Some(Ask::Note { .. }) => Mode::Line,
            Some(Ask::Cancel) => Mode::Question,
        }
    }

    /// The places of the chunks that are listed.
    pub(super) fn listed(&self) -> Vec<usize> {
        let Some(board) = &self.board else { return Vec::new() };
        let all = board.chunks.iter().enumerate();
        all.filter(|(_, chunk)| !self.only_open || chunk.status == Status::InProgress || chunk.needs_person())
            .map(|(at, _)| at)
            .collect()
    }

    /// The chunk that is selected.
    pub(super) fn chunk(&self) -> Option<&ChunkRow> {
        self.board.as_ref()?.chunk(self.selected)
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: Key) -> Option<Want> {
        if key == Key::Quit {
            return Some(Want::Quit);
        }
        self.message = None;
        if let Some(ask) = self.ask.take() {
            return self.answer(ask, key).map(Want::Do);
        }
        let read = match self.views.last_mut() {
            Some(View::Receipts(receipts)) => moved(&mut receipts.pane, key),
            Some(View::Log(log)) => moved(&mut log.pane, key),
            Some(View::Batches) => return self.choose(key),
            _ => false,
        };
        if read { None } else { self.command(key) }
    }

    fn answer(&mut self, ask: Ask, key: Key) -> Option<Order> {
        match (ask, key) {
            (Ask::Cancel, Key::Yes) => return Some(Order::Control("cancel")),
            (Ask::Cancel, _) => self.message = Some(("Not cancelled".to_owned(), false)),
            (Ask::Note { .. }, Key::No) => self.message = Some(("Nothing was decided".to_owned(), false)),
            (Ask::Note { chunk, decision, text }, Key::Yes) if !text.trim().is_empty() => {
                return Some(Order::Review { chunk: Some(chunk), decision, note: Some(text) });
            }
            (Ask::Note { chunk, decision, mut text }, key) => {
                match key {
                    Key::Letter(c) => text.push(c),
                    Key::Erase => drop(text.pop()),
                    Key::EraseLine => text.clear(),
                    _ => {}
                }
                self.ask = Some(Ask::Note { chunk, decision, text });
            }
        }
        None
    }

    fn choose(&mut self, key: Key) -> Option<Want> {
        let last = self.open.len().saturating_sub(1);
        match key {
            Key::Up => self.picked = self.picked.saturating_sub(1),
            Key::Down => self.picked = (self.picked + 1).min(last),
            Key::PageUp | Key::First => self.picked = 0,
            Key::PageDown | Key::Last => self.picked = last,
            Key::Open => return self.open.get(self.picked).map(|batch| Want::Watch(batch.id.clone())),
            Key::Help => self.views.push(View::Help),
            Key::Back => return Some(Want::Quit),
            _ => {}
        }
        None
    }

    fn command(&mut self, key: Key) -> Option<Want> {
        match key {
            Key::Back => return self.back(),
            Key::Help => {
                if !matches!(self.views.last(), Some(View::Help)) {
                    self.views.push(View::Help);
                }
            }
            Key::Up => self.walk(-1),
            Key::Down => self.walk(1),
            Key::PageUp => self.walk(-self.page.cast_signed()),
            Key::PageDown => self.walk(self.page.cast_signed()),
            Key::First => self.walk(isize::MIN),
            Key::Last => self.walk(isize::MAX),
            Key::Next => self.next(),
            Key::OnlyOpen => self.only_open = !self.only_open,
            Key::Open | Key::Log => self.open_chunk(key),
            _ => return self.decide(key).map(Want::Do),
        }
        None
    }

    fn back(&mut self) -> Option<Want> {
        self.views.pop();
        if self.views.is_empty() {
            return Some(Want::Quit);
        }
        if matches!(self.views.last(), Some(View::Batches)) {
            self.board = None;
        }
        None
    }

    /// Selects another chunk of those listed.
    fn walk(&mut self, by: isize) {
        let listed = self.listed();
        let Some(board) = &self.board else { return };
        let at = listed.partition_point(|at| board.chunks[*at].number < self.selected);
        let to = at.saturating_add_signed(by).min(listed.len().saturating_sub(1));
        if let Some(at) = listed.get(to) {
            self.selected = board.chunks[*at].number;
        }
    }

    /// Selects the next chunk that waits for a person, from the beginning again after the last.
    fn next(&mut self) {
        let Some(board) = &self.board else { return };
        let waiting: Vec<u64> =
            board.chunks.iter().filter(|chunk| chunk.needs_person()).map(|chunk| chunk.number).collect();
        let next = waiting.iter().find(|number| **number > self.selected).or(waiting.first());
        match next {
            Some(number) => self.selected = *number,
            None => self.message = Some(("No chunk waits for you".to_owned(), false)),
        }
    }

    fn open_chunk(&mut self, key: Key) {
        let digits = self.board.as_ref().map_or(2, Board::digits);
        let Some(chunk) = self.chunk() else { return };
        let title = format!("{:0digits$} {}", chunk.number, chunk.title);
        let view = match key {
            Key::Log => View::Log(Log::new(chunk.id.clone(), &title)),
            _ => View::Receipts(Receipts::new(chunk.id.clone(), &title)),
        };
        // From one to the other of the same chunk, and back to the batch from either.
        if matches!(self.views.last(), Some(View::Receipts(_) | View::Log(_))) {
            self.views.pop();
        }
        self.views.push(view);
    }

    fn decide(&mut self, key: Key) -> Option<Order> {
        let board = self.board.as_ref()?;
        let chunk = self.chunk();
        let review = |decision| Some(Order::Review { chunk: None, decision, note: None });
        match (key, chunk) {
            (Key::Pause, _) if board.head.status == BatchStatus::Paused => Some(Order::Control("resume")),
            (Key::Pause, _) => Some(Order::Control("pause")),
            (Key::Cancel, _) => {
                self.ask = Some(Ask::Cancel);
                None
            }
            (Key::ApproveAll, _) => review(Decision::Approve),
            (Key::RetryAll, _) => Some(Order::Retry(None)),
            (Key::Approve, Some(chunk)) => {
                Some(Order::Review { chunk: Some(chunk.id.clone()), decision: Decision::Approve, note: None })
            }
            (Key::Reject, Some(chunk)) => {
                self.ask_why(chunk.id.clone(), Decision::Reject);
                None
            }
            (Key::Redo, Some(chunk)) => {
                self.ask_why(chunk.id.clone(), Decision::Redo);
                None
            }
            (Key::Retry, Some(chunk)) => Some(Order::Retry(Some(chunk.id.clone()))),
            _ => None,
        }
    }

    fn ask_why(&mut self, chunk: TaskId, decision: Decision) {
        self.ask = Some(Ask::Note { chunk, decision, text: String::new() });
    }
}

/// Moves in lines that are read; whether the key was for that.
fn moved(pane: &mut Pane, key: Key) -> bool {
    match key {
        Key::Up => pane.scroll(1),
        Key::Down => pane.scroll(-1),
        Key::PageUp => pane.scroll(pane.page()),
        Key::PageDown => pane.scroll(-pane.page()),
        Key::First | Key::Last => pane.go_to(key == Key::First),
        _ => return false,
    }
    true
}
