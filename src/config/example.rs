//! Profiles ready to be used.

/// A name and the text of a configuration.
pub struct Example {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is started.
    pub about: &'static str,
    /// The configuration.
    pub text: &'static str,
}

/// Those that there are.
pub const ALL: &[Example] = &[
    Example {
        name: "claude-code",
        about: "Claude Code, once a chunk",
        text: include_str!("../../examples/workers/claude-code.toml"),
    },
    Example {
        name: "codex",
        about: "Codex CLI, once a chunk",
        text: include_str!("../../examples/workers/codex.toml"),
    },
    Example {
        name: "gemini",
        about: "Gemini CLI, once a chunk",
        text: include_str!("../../examples/workers/gemini.toml"),
    },
    Example {
        name: "script",
        about: "a plain script, once an item",
        text: include_str!("../../examples/workers/script.toml"),
    },
];
