//! The loop that reads keys and draws the screen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::app::{Action, App, View};
use super::batch_command::run_command;
use super::batch_rows::{listed_batches, only_batch};
use super::board::Board;
use super::keys::meaning;
use super::poller::Poller;
use super::screen::draw;
use super::theme::Theme;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;

/// How often the store is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait for a key before checking for signals.
const KEY_WAIT: Duration = Duration::from_millis(200);
/// When the store is read after a key that may have opened a view.
const AFTER_KEY: Duration = Duration::from_millis(20);

/// Shows a batch, or the list of open batches, until the person quits or a signal arrives.
pub(super) fn run(session: &Session, batch: Option<TaskId>, prefix: &str, theme: Theme) -> Result<u8> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let signal_error = |error| Error::internal("cannot listen to signals", error);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, is_stopped.clone()).map_err(signal_error)?;
    }
    // After SIGHUP the terminal is gone, so there is nothing to restore.
    signal_hook::flag::register_conditional_shutdown(SIGHUP, 1, Arc::new(AtomicBool::new(true)))
        .map_err(signal_error)?;
    let mut app = App::new(if batch.is_some() { View::Batch } else { View::Batches }, prefix);
    let batch = match batch {
        Some(batch) => Some(batch),
        None => only_batch(&listed_batches(session)?).inspect(|_| app.views.push(View::Batch)),
    };
    let mut screen =
        ScreenLoop { session, prefix, poller: batch.map(|batch| Poller::new(batch, prefix)), app };
    // This also restores the terminal after a panic.
    let mut terminal = ratatui::try_init().map_err(screen_error)?;
    let result = screen.run(&mut terminal, theme, &is_stopped);
    ratatui::try_restore().map_err(screen_error)?;
    result.map(|()| 0)
}

fn screen_error(error: std::io::Error) -> Error {
    Error::internal("the screen cannot be drawn; tasktally watch --plain prints lines", error)
}

/// The state of the keyboard after a wait.
enum Keyboard {
    Idle,
    HasKey,
    /// The terminal is gone.
    HungUp,
}

/// Waits for a key. crossterm itself would loop without end on a terminal that is gone.
fn wait_for_key(wait: Duration) -> std::io::Result<Keyboard> {
    let stdin = std::io::stdin();
    let mut keyboard = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    };
    match poll(&mut keyboard, Some(&wait)) {
        Ok(0) | Err(Errno::INTR) => return Ok(Keyboard::Idle),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let events = keyboard[0].revents();
    Ok(if events.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        Keyboard::HungUp
    } else {
        Keyboard::HasKey
    })
}

struct ScreenLoop<'a> {
    session: &'a Session,
    prefix: &'a str,
    poller: Option<Poller>,
    app: App,
}

impl ScreenLoop<'_> {
    fn run(&mut self, terminal: &mut DefaultTerminal, theme: Theme, is_stopped: &AtomicBool) -> Result<()> {
        let mut next_poll = Instant::now();
        while !is_stopped.load(Ordering::SeqCst) {
            if Instant::now() >= next_poll {
                // The error is shown and the loop continues: the store may be readable again later.
                if let Err(error) = self.update() {
                    self.app.show_result(Err(error));
                }
                next_poll = Instant::now() + POLL_INTERVAL;
            }
            terminal.draw(|frame| draw(frame, &mut self.app, theme)).map_err(screen_error)?;
            let wait = next_poll.saturating_duration_since(Instant::now()).min(KEY_WAIT);
            match wait_for_key(wait).map_err(screen_error)? {
                Keyboard::Idle => continue,
                Keyboard::HasKey => {}
                Keyboard::HungUp => return Ok(()),
            }
            // All keys that have arrived, before the screen is drawn again.
            while event::poll(Duration::ZERO).map_err(screen_error)? {
                let Event::Key(key) = event::read().map_err(screen_error)? else { continue };
                let Some(key) = meaning(key, self.app.key_mode()) else { continue };
                match self.app.press(key) {
                    Some(Action::Quit) => return Ok(()),
                    Some(action) => {
                        self.perform(action);
                        next_poll = Instant::now();
                    }
                    None => next_poll = next_poll.min(Instant::now() + AFTER_KEY),
                }
            }
        }
        Ok(())
    }

    /// Reads what the visible view shows.
    fn update(&mut self) -> Result<()> {
        self.app.drop_old_message(Instant::now());
        if matches!(self.app.views.last(), Some(View::Batches)) {
            self.app.batches = listed_batches(self.session)?;
            let last = self.app.batches.len().saturating_sub(1);
            self.app.selected_batch = self.app.selected_batch.min(last);
            return Ok(());
        }
        if let Some(poller) = &mut self.poller {
            let mut update = poller.poll(self.session)?;
            update.header.paused = update.header.paused.map(|reason| self.app.with_commands(&reason));
            match &mut self.app.board {
                Some(board) => drop(board.apply(update)),
                none => *none = Some(Board::new(update)),
            }
        }
        match self.app.views.last_mut() {
            Some(View::Receipts(receipts)) => receipts.update(self.session),
            Some(View::Log(log)) => log.update(self.session),
            _ => Ok(()),
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Watch(batch) => {
                self.poller = Some(Poller::new(batch, self.prefix));
                self.app.board = None;
                (self.app.selected_chunk, self.app.first_visible) = (1, 0);
                self.app.is_following = true;
                self.app.views.push(View::Batch);
            }
            Action::Run(command) => {
                let Some(board) = &self.app.board else { return };
                let result = run_command(self.session, &board.header.id, &command);
                self.app.show_result(result);
            }
            Action::Quit => {}
        }
    }
}
