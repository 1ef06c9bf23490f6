//! The styles of the screen. Whatever a colour shows, a word shows as well.

use ratatui::style::{Color, Modifier, Style};

use crate::model::batch::BatchStatus;
use crate::model::status::Status;
use crate::terminal::colours_are_wanted;

/// The styles, with or without colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    has_colour: bool,
}

impl Theme {
    /// With or without colours.
    pub(super) fn new(has_colour: bool) -> Self {
        Theme { has_colour }
    }

    /// With colours, unless the environment forbids them.
    pub(super) fn from_environment() -> Self {
        Theme::new(colours_are_wanted())
    }

    fn colour_or(self, colour: Color, modifier: Modifier) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new().add_modifier(modifier) }
    }

    /// Ordinary text.
    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    /// Text of less importance.
    pub(super) fn dim(self) -> Style {
        self.colour_or(Color::DarkGray, Modifier::DIM)
    }

    /// Titles.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The selected row.
    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Success.
    pub(super) fn good(self) -> Style {
        self.colour_or(Color::Green, Modifier::empty())
    }

    /// Failure.
    pub(super) fn bad(self) -> Style {
        self.colour_or(Color::Red, Modifier::BOLD)
    }

    /// What a person has to do or decide.
    pub(super) fn attention(self) -> Style {
        self.colour_or(Color::Yellow, Modifier::BOLD)
    }

    /// Work in progress.
    pub(super) fn active(self) -> Style {
        self.colour_or(Color::Cyan, Modifier::empty())
    }

    /// The style of a chunk's status.
    pub(super) fn chunk(self, status: Status) -> Style {
        match status {
            Status::Done => self.good(),
            Status::InProgress => self.active(),
            Status::Review => self.attention(),
            Status::Failed | Status::Rejected | Status::Blocked => self.bad(),
            _ => self.dim(),
        }
    }

    /// The style of a batch's status.
    pub(super) fn batch(self, status: BatchStatus) -> Style {
        match status {
            BatchStatus::Running => self.active(),
            BatchStatus::Paused | BatchStatus::Waiting => self.attention(),
            BatchStatus::Done => self.good(),
            BatchStatus::Failed | BatchStatus::Cancelled => self.bad(),
        }
    }
}
