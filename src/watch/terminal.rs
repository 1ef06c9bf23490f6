//! The loop: keys in, screen out. The only part that has a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::act::carry_out;
use super::app::{App, View, Want};
use super::batches::open_batches;
use super::board::Board;
use super::cannot_show;
use super::feed::Feed;
use super::keys::meaning;
use super::screen::draw;
use super::style::Theme;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a key is waited for before signals are looked at.
const WAIT: Duration = Duration::from_millis(200);

/// Shows a batch, or the open ones, until the person leaves or a signal ends it.
pub(super) fn run(session: &Session, batch: Option<TaskId>, theme: Theme) -> Result<u8> {
    let ended = Arc::new(AtomicBool::new(false));
    let unheard = |error| Error::internal("signals cannot be listened to", error);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, ended.clone()).map_err(unheard)?;
    }
    // The terminal has gone: there is nothing to restore, and nobody to show anything to.
    signal_hook::flag::register_conditional_shutdown(SIGHUP, 1, Arc::new(AtomicBool::new(true)))
        .map_err(unheard)?;
    let first = if batch.is_some() { View::Batch } else { View::Batches };
    let mut watched = Watched { session, feed: batch.map(Feed::new), app: App::new(first) };
    // It also restores the terminal where anything panics.
    let mut terminal = ratatui::try_init().map_err(cannot_show)?;
    let shown = watched.go_on(&mut terminal, theme, &ended);
    ratatui::try_restore().map_err(cannot_show)?;
    shown.map(|()| 0)
}

/// What came from the keyboard.
enum Pressed {
    Nothing,
    Something,
    HungUp,
}

/// Waits for a key. It is waited for here, for crossterm reads the end of a terminal that has gone again
/// and again, without ever coming back.
fn pressed(wait: Duration) -> std::io::Result<Pressed> {
    let stdin = std::io::stdin();
    let mut keyboard = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    };
    match poll(&mut keyboard, Some(&wait)) {
        Ok(0) | Err(Errno::INTR) => return Ok(Pressed::Nothing),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let seen = keyboard[0].revents();
    Ok(if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        Pressed::HungUp
    } else {
        Pressed::Something
    })
}

struct Watched<'a> {
    session: &'a Session,
    feed: Option<Feed>,
    app: App,
}

impl Watched<'_> {
    fn go_on(&mut self, terminal: &mut DefaultTerminal, theme: Theme, ended: &AtomicBool) -> Result<()> {
        let mut next_look = Instant::now();
        while !ended.load(Ordering::SeqCst) {
            if Instant::now() >= next_look {
                // A store that cannot be read now may be readable later.
                if let Err(error) = self.look() {
                    self.app.say(Err(error));
                }
                next_look = Instant::now() + LOOK_EVERY;
            }
            terminal.draw(|frame| draw(frame, &mut self.app, theme)).map_err(cannot_show)?;
            let wait = next_look.saturating_duration_since(Instant::now()).min(WAIT);
            match pressed(wait).map_err(cannot_show)? {
                Pressed::Nothing => continue,
                Pressed::Something => {}
                Pressed::HungUp => return Ok(()),
            }
            // All that was pressed meanwhile, before anything is drawn again.
            while event::poll(Duration::ZERO).map_err(cannot_show)? {
                let Event::Key(key) = event::read().map_err(cannot_show)? else { continue };
                let Some(key) = meaning(key, self.app.mode()) else { continue };
                match self.app.press(key) {
                    Some(Want::Quit) => return Ok(()),
                    Some(want) => {
                        self.do_it(want);
                        next_look = Instant::now();
                    }
                    // What was opened is read at once.
                    None => next_look = next_look.min(Instant::now() + Duration::from_millis(20)),
                }
            }
        }
        Ok(())
    }

    /// Reads what is in view.
    fn look(&mut self) -> Result<()> {
        if matches!(self.app.views.last(), Some(View::Batches)) {
            self.app.open = open_batches(self.session)?;
            self.app.picked = self.app.picked.min(self.app.open.len().saturating_sub(1));
            return Ok(());
        }
        if let Some(feed) = &mut self.feed {
            let update = feed.look(self.session)?;
            match &mut self.app.board {
                Some(board) => drop(board.apply(update)),
                none => *none = Some(Board::new(update)),
            }
        }
        match self.app.views.last_mut() {
            Some(View::Receipts(receipts)) => receipts.look(self.session),
            Some(View::Log(log)) => log.look(self.session),
            _ => Ok(()),
        }
    }

    fn do_it(&mut self, want: Want) {
        match want {
            Want::Watch(batch) => {
                self.feed = Some(Feed::new(batch));
                self.app.board = None;
                (self.app.selected, self.app.top) = (1, 0);
                self.app.views.push(View::Batch);
            }
            Want::Do(order) => {
                let Some(board) = &self.app.board else { return };
                let said = carry_out(self.session, &board.head.id, &order);
                self.app.say(said);
            }
            Want::Quit => {}
        }
    }
}
