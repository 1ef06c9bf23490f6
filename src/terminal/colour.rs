//! Whether colours are shown.

use std::io::IsTerminal as _;

/// Whether the environment allows colours: `NO_COLOR` unset or empty (<https://no-color.org>).
pub(crate) fn colours_are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard output is a terminal that shows colours, and the environment allows them.
pub(crate) fn stdout_has_colours() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !is_dumb && colours_are_wanted() && std::io::stdout().is_terminal()
}
