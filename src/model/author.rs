//! Who wrote a receipt: a name, which a caller may choose, and a kind, which only the server sets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::search_text::fold;

word_enum!(
    /// What wrote a receipt. Receipts of schemas before 14 have no kind.
    AuthorKind, "author kind" {
        /// The client of an MCP server, or a command that was not run at a terminal.
        Agent = "agent",
        /// An agent that works a chunk: its server has the worker toolset, or is limited to the chunk.
        Worker = "worker",
        /// The process that starts workers and records what commands print.
        Runner = "runner",
        /// A person who answered a form of the client, or ran a command at a terminal.
        Person = "person",
        /// Tasktally itself.
        System = "system",
    }
);

/// The word for the kind of a receipt of a schema before 14.
pub const UNKNOWN_KIND: &str = "unknown";

/// The name of what Tasktally itself writes.
const SYSTEM_NAME: &str = "tasktally";
/// The names that stand for Tasktally itself, folded. Receipts of old versions have `docket`.
const SYSTEM_NAMES: &[&str] = &[SYSTEM_NAME, "docket", "system"];
/// The start of the name of a person who answered a form.
const PERSON_PREFIX: &str = "person at ";

/// The author of a receipt. Shows its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    name: Cow<'static, str>,
    kind: AuthorKind,
    /// The names of persons that it cannot write under if it is an agent.
    persons: Option<Arc<[String]>>,
}

/// Tasktally itself, for what it writes on its own account.
pub static SYSTEM: Author =
    Author { name: Cow::Borrowed(SYSTEM_NAME), kind: AuthorKind::System, persons: None };

impl Author {
    /// An author with a name and a kind.
    pub fn new(name: impl Into<String>, kind: AuthorKind) -> Self {
        Author { name: Cow::Owned(name.into()), kind, persons: None }
    }

    /// The same author, who cannot write under these names of persons if it is an agent.
    #[must_use]
    pub fn without_names(self, persons: Vec<String>) -> Self {
        Author { persons: Some(persons.into()), ..self }
    }

    /// The same author as another kind.
    #[must_use]
    pub fn of_kind(&self, kind: AuthorKind) -> Self {
        Author { kind, ..self.clone() }
    }

    /// The person who answered a form of a client.
    pub fn person_at(client: &str) -> Self {
        Author::new(format!("{PERSON_PREFIX}{client}"), AuthorKind::Person)
    }

    /// The same author under another name, such as that of the worker whose claim it holds. An agent keeps its own name
    /// if the other one reads like that of a person or of Tasktally.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        if self.is_agent() && (is_system_name(name) || self.reads_like_person(name, &[])) {
            return self.clone();
        }
        Author { name: Cow::Owned(name.to_owned()), ..self.clone() }
    }

    /// Whether a name reads like that of a person: one that this author cannot take, or one of `others`.
    pub fn reads_like_person(&self, name: &str, others: &[String]) -> bool {
        is_person_name(
            name,
            self.persons.iter().flat_map(|persons| persons.iter()).chain(others).map(String::as_str),
        )
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind.
    pub fn kind(&self) -> AuthorKind {
        self.kind
    }

    /// Whether an agent speaks, also if it says for whom.
    pub fn is_agent(&self) -> bool {
        matches!(self.kind, AuthorKind::Agent | AuthorKind::Worker)
    }
}

/// An agent with a name: what a caller is unless more is known about it.
impl From<&str> for Author {
    fn from(name: &str) -> Self {
        Author::new(name, AuthorKind::Agent)
    }
}

impl Default for Author {
    fn default() -> Self {
        SYSTEM.clone()
    }
}

impl Default for &Author {
    fn default() -> Self {
        &SYSTEM
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// The kind as a word; `unknown` for receipts of schemas before 14.
pub fn kind_word(kind: Option<AuthorKind>) -> &'static str {
    kind.map_or(UNKNOWN_KIND, AuthorKind::as_str)
}

/// The name of a receipt's author with its kind behind it, for people; only the name if the kind is not known.
pub fn name_with_kind(name: &str, kind: Option<AuthorKind>) -> String {
    kind.map_or_else(|| name.to_owned(), |kind| format!("{name} ({kind})"))
}

/// What a reader sees in a name: without case, diacritics, invisible characters, spaces and punctuation.
fn seen(name: &str) -> String {
    fold(name).chars().filter(|c| !c.is_whitespace()).collect()
}

/// Whether a name reads like that of Tasktally itself.
pub fn is_system_name(name: &str) -> bool {
    let seen = seen(name);
    SYSTEM_NAMES.contains(&seen.as_str())
}

/// Whether a name reads like that of a person: one of `persons`, or one who answered a form.
fn is_person_name<'a>(name: &str, mut persons: impl Iterator<Item = &'a str>) -> bool {
    let name = seen(name);
    let prefix = seen(PERSON_PREFIX);
    name.starts_with(&prefix) || persons.any(|person| !person.is_empty() && seen(person) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_read_like_the_server_are_its_own() {
        fn check(name: &str, expected: bool) {
            assert_eq!(is_system_name(name), expected, "{name:?}");
        }
        for name in [
            "tasktally",
            "TaskTally",
            "task\u{200b}tally",
            "tásktally",
            "ｔａｓｋｔａｌｌｙ",
            " docket ",
            "task-tally",
            "System",
        ] {
            check(name, true);
        }
        for name in ["tasktally-tests", "polecat", "", "claude-code", "system-worker"] {
            check(name, false);
        }
    }

    #[test]
    fn names_that_read_like_a_person_are_reserved() {
        fn check(name: &str, expected: bool) {
            assert_eq!(is_person_name(name, ["alice", ""].into_iter()), expected, "{name:?}");
        }
        check("alice", true);
        check("A\u{200d}lice", true);
        check("person at claude-code", true);
        check("Person\u{a0}at x", true);
        check("alice2", false);
        check("", false);
    }
}
