//! The keys, and what they mean in each mode.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// How keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyMode {
    /// A letter is a command.
    Command,
    /// A letter is text.
    Text,
    /// A letter answers a question with yes or no.
    Confirm,
}

/// The meaning of a key.
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
    Accept,
    Next,
    OnlyOpen,
    Follow,
    Help,
    Back,
    Quit,
    Yes,
    No,
    Letter(char),
    Erase,
    EraseLine,
}

/// The meaning of a key in this mode, if it has one.
pub(super) fn meaning(event: KeyEvent, mode: KeyMode) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return match event.code {
            KeyCode::Char('c') => Some(Key::Quit),
            KeyCode::Char('u') if mode == KeyMode::Text => Some(Key::EraseLine),
            KeyCode::Char('b') => Some(Key::PageUp),
            KeyCode::Char('f') => Some(Key::PageDown),
            _ => None,
        };
    }
    match mode {
        KeyMode::Command => command(event.code),
        KeyMode::Text => match event.code {
            KeyCode::Char(c) => Some(Key::Letter(c)),
            KeyCode::Backspace => Some(Key::Erase),
            KeyCode::Enter => Some(Key::Yes),
            KeyCode::Esc => Some(Key::No),
            _ => None,
        },
        KeyMode::Confirm => match event.code {
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
        KeyCode::Char('x') => Key::Accept,
        KeyCode::Char('n') => Key::Next,
        KeyCode::Char('f') => Key::OnlyOpen,
        KeyCode::Char('w') => Key::Follow,
        KeyCode::Char('?' | 'h') => Key::Help,
        KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => Key::Back,
        KeyCode::Char('q') => Key::Quit,
        _ => return None,
    })
}

/// The keys and their meanings for the help.
pub(super) const HELP: &[(&str, &str)] = &[
    ("↑ ↓  k j", "select the previous or the next chunk"),
    ("PgUp PgDn  Home End", "move by a page, or to the first or last chunk"),
    ("n", "select the next chunk that waits for you"),
    ("f", "list all, or only chunks in progress or waiting for you"),
    ("w", "follow the chunks in progress, until you select another"),
    ("Enter", "show the chunk's receipts"),
    ("l", "show the output of the chunk's worker"),
    ("a  A", "approve the chunk, or all chunks in review"),
    ("r", "reject the chunk for good (asks for the reason)"),
    ("d", "have the chunk redone (asks for the reason)"),
    ("t  T", "retry what failed in the chunk, or in all chunks"),
    ("x", "accept what failed in a batch that has ended (asks first)"),
    ("p", "pause the batch, or resume it (asks first)"),
    ("c", "cancel the batch (asks first)"),
    ("?", "show this help"),
    ("Esc  Backspace", "go back, from a batch to the list of batches"),
    ("q  Ctrl-C", "quit"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_something_else_in_each_mode() {
        fn check(code: KeyCode, mode: KeyMode, expected: Option<Key>) {
            let event = KeyEvent::new(code, KeyModifiers::NONE);
            assert_eq!(meaning(event, mode), expected, "{code:?} in {mode:?}");
        }
        check(KeyCode::Char('a'), KeyMode::Command, Some(Key::Approve));
        check(KeyCode::Char('a'), KeyMode::Text, Some(Key::Letter('a')));
        check(KeyCode::Char('a'), KeyMode::Confirm, Some(Key::No));
        check(KeyCode::Char('y'), KeyMode::Confirm, Some(Key::Yes));
        check(KeyCode::Enter, KeyMode::Confirm, Some(Key::No));
        check(KeyCode::Esc, KeyMode::Text, Some(Key::No));
        check(KeyCode::Char('q'), KeyMode::Command, Some(Key::Quit));
        check(KeyCode::Char('q'), KeyMode::Text, Some(Key::Letter('q')));
        check(KeyCode::Char('q'), KeyMode::Confirm, Some(Key::No));
        check(KeyCode::F(5), KeyMode::Command, None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for mode in [KeyMode::Command, KeyMode::Text, KeyMode::Confirm] {
            assert_eq!(meaning(interrupt, mode), Some(Key::Quit));
        }
    }
}
