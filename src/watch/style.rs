//! Colours and their absence: what is told by colour is told by a word as well.

use ratatui::style::{Color, Modifier, Style};

use crate::model::batch::BatchStatus;
use crate::model::status::Status;

/// How things look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    colour: bool,
}

impl Theme {
    /// With or without colour.
    pub(super) fn new(colour: bool) -> Self {
        Theme { colour }
    }

    /// As the environment asks: `NO_COLOR`, not empty, means none.
    pub(super) fn of_environment() -> Self {
        Theme::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn of(self, colour: Color, without: Modifier) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new().add_modifier(without) }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn dim(self) -> Style {
        self.of(Color::DarkGray, Modifier::DIM)
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn good(self) -> Style {
        self.of(Color::Green, Modifier::empty())
    }

    pub(super) fn bad(self) -> Style {
        self.of(Color::Red, Modifier::BOLD)
    }

    pub(super) fn asks(self) -> Style {
        self.of(Color::Yellow, Modifier::BOLD)
    }

    pub(super) fn busy(self) -> Style {
        self.of(Color::Cyan, Modifier::empty())
    }

    /// Of a chunk in a status.
    pub(super) fn chunk(self, status: Status) -> Style {
        match status {
            Status::Done => self.good(),
            Status::InProgress => self.busy(),
            Status::Review => self.asks(),
            Status::Failed | Status::Blocked => self.bad(),
            _ => self.dim(),
        }
    }

    /// Of a batch in a status.
    pub(super) fn batch(self, status: BatchStatus) -> Style {
        match status {
            BatchStatus::Running => self.busy(),
            BatchStatus::Paused | BatchStatus::Waiting => self.asks(),
            BatchStatus::Done => self.good(),
            BatchStatus::Failed | BatchStatus::Cancelled => self.bad(),
        }
    }
}
