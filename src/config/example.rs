//! The example profiles that `tasktally config example` prints.

/// An example configuration with one profile.
pub struct ProfileExample {
    /// Its name on the command line.
    pub name: &'static str,
    /// What the profile runs.
    pub description: &'static str,
    /// The text of the configuration.
    pub text: &'static str,
}

/// Every example.
pub const EXAMPLES: &[ProfileExample] = &[
    ProfileExample {
        name: "claude-code",
        description: "Claude Code, once per chunk",
        text: include_str!("../../examples/workers/claude-code.toml"),
    },
    ProfileExample {
        name: "codex",
        description: "Codex CLI, once per chunk",
        text: include_str!("../../examples/workers/codex.toml"),
    },
    ProfileExample {
        name: "gemini",
        description: "Gemini CLI, once per chunk",
        text: include_str!("../../examples/workers/gemini.toml"),
    },
    ProfileExample {
        name: "script",
        description: "A script, once per item",
        text: include_str!("../../examples/workers/script.toml"),
    },
];
