//! Whether colours are shown.

use std::io::IsTerminal as _;

/// Whether the environment allows colours: `NO_COLOR` unset or empty (<https://no-color.org>).
pub(crate) fn colours_are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether the terminal understands no control sequences, as in the shell of an editor.
pub(crate) fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether standard output is a terminal that shows colours, and the environment allows them.
pub(crate) fn stdout_has_colours() -> bool {
    !is_dumb_terminal() && colours_are_wanted() && std::io::stdout().is_terminal()
}
