//! What a key means, by what it is pressed in.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The screen: a letter is a command.
    Command,
    /// A line that is being written.
    Line,
    /// A question that is answered with y or n.
    Question,
}

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Log,
    Approve,
    ApproveAll,
    Reject,
    Redo,
    Pause,
    Cancel,
    Retry,
    RetryAll,
    Next,
    OnlyOpen,
    Help,
    Back,
    Quit,
    Yes,
    No,
    Letter(char),
    Erase,
    EraseLine,
}

/// What a key means; nothing for one that has no meaning here.
pub(super) fn meaning(event: KeyEvent, mode: Mode) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return match event.code {
            KeyCode::Char('c') => Some(Key::Quit),
            KeyCode::Char('u') if mode == Mode::Line => Some(Key::EraseLine),
            KeyCode::Char('b') => Some(Key::PageUp),
            KeyCode::Char('f') => Some(Key::PageDown),
            _ => None,
        };
    }
    match mode {
        Mode::Command => command(event.code),
        Mode::Line => match event.code {
            KeyCode::Char(c) => Some(Key::Letter(c)),
            KeyCode::Backspace => Some(Key::Erase),
            KeyCode::Enter => Some(Key::Yes),
            KeyCode::Esc => Some(Key::No),
            _ => None,
        },
        Mode::Question => match event.code {
            KeyCode::Char('y' | 'Y') => Some(Key::Yes),
            _ => Some(Key::No),
        },
    }
}

fn command(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Key::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Key::First,
        KeyCode::End | KeyCode::Char('G') => Key::Last,
        KeyCode::Enter => Key::Open,
        KeyCode::Char('l') => Key::Log,
        KeyCode::Char('a') => Key::Approve,
        KeyCode::Char('A') => Key::ApproveAll,
        KeyCode::Char('r') => Key::Reject,
        KeyCode::Char('d') => Key::Redo,
        KeyCode::Char('p') => Key::Pause,
        KeyCode::Char('c') => Key::Cancel,
        KeyCode::Char('t') => Key::Retry,
        KeyCode::Char('T') => Key::RetryAll,
        KeyCode::Char('n') => Key::Next,
        KeyCode::Char('f') => Key::OnlyOpen,
        KeyCode::Char('?' | 'h') => Key::Help,
        KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => Key::Back,
        KeyCode::Char('q') => Key::Back,
        _ => return None,
    })
}

/// The keys as the help shows them.
pub(super) const HELP: &[(&str, &str)] = &[
    ("↑ ↓  k j", "the chunk before, the next one"),
    ("PgUp PgDn  Home End", "further, and to either end"),
    ("n", "the next chunk that waits for you"),
    ("f", "all chunks, or only those at work or waiting for you"),
    ("Enter", "the chunk's receipts"),
    ("l", "what its worker printed"),
    ("a  A", "approve the chunk, or all that are in review"),
    ("r", "reject it: it goes no further (asks why)"),
    ("d", "have it redone (asks what is wrong)"),
    ("t  T", "retry what failed in the chunk, or in all"),
    ("p", "pause the batch, or let it go on"),
    ("c", "cancel the batch (asks first)"),
    ("?", "this help"),
    ("q  Esc", "back, and out"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_what_its_mode_says() {
        fn check(code: KeyCode, mode: Mode, meant: Option<Key>) {
            assert_eq!(meaning(KeyEvent::new(code, KeyModifiers::NONE), mode), meant, "{code:?} in {mode:?}");
        }
        check(KeyCode::Char('a'), Mode::Command, Some(Key::Approve));
        check(KeyCode::Char('a'), Mode::Line, Some(Key::Letter('a')));
        check(KeyCode::Char('a'), Mode::Question, Some(Key::No));
        check(KeyCode::Char('y'), Mode::Question, Some(Key::Yes));
        check(KeyCode::Enter, Mode::Question, Some(Key::No));
        check(KeyCode::Esc, Mode::Line, Some(Key::No));
        check(KeyCode::F(5), Mode::Command, None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for mode in [Mode::Command, Mode::Line, Mode::Question] {
            assert_eq!(meaning(interrupt, mode), Some(Key::Quit));
        }
    }
}
