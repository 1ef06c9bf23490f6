//! What a prompt has to mention, according to the batch and to the client that reads it.

use crate::model::in_doubt::InDoubtPolicy;
use crate::model::step::Steps;

/// The words of instructions that deal with files under version control.
const FILE_WORDS: &[&str] = &[
    "branch",
    "branches",
    "code",
    "commit",
    "commits",
    "directory",
    "file",
    "files",
    "folder",
    "folders",
    "git",
    "repo",
    "repositories",
    "repository",
];
/// The phrases of instructions that report the start of an action, or say that nothing takes it back.
const START_PHRASES: &[&str] =
    &["started", "in doubt", "in_doubt", "undone", "undo", "irreversibl", "destructive"];
/// The words that forbid what follows them.
const NEGATIONS: &[&str] = &["never", "not", "no", "nothing", "none", "without", "cannot", "nor"];
/// The words that may stand between a negation and the word that it negates.
const FILLERS: &[&str] = &[
    "a", "any", "anything", "are", "as", "be", "an", "count", "ever", "is", "it", "item", "items", "mark",
    "may", "must", "outcome", "record", "report", "set", "the", "them", "to", "use", "with", "write",
];

/// What the prompt of a batch's workers has to mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerNeeds {
    /// Whether the worker works one chunk and ends: a runner starts it for this chunk. Any other worker claims chunks
    /// until none is left.
    pub works_one_chunk: bool,
    /// Whether workers report the start of an item before they act.
    pub reports_starts: bool,
    /// Whether an item may be skipped.
    pub may_skip: bool,
    /// Whether the work may change files under version control.
    pub changes_files: bool,
    /// What happens to an item whose action may have happened.
    pub in_doubt: InDoubtPolicy,
}

impl WorkerNeeds {
    /// The needs of a batch of which nothing is known: all that any batch needs.
    pub const UNKNOWN: WorkerNeeds = WorkerNeeds {
        works_one_chunk: false,
        reports_starts: true,
        may_skip: true,
        changes_files: true,
        in_doubt: InDoubtPolicy::Retry,
    };

    /// The needs of a batch with these instructions, steps and treatment of items in doubt.
    pub fn new(instructions: &str, steps: &Steps, in_doubt: InDoubtPolicy) -> Self {
        let of_steps = (0..steps.count()).filter_map(|number| steps.get(number));
        let texts: Vec<String> = of_steps
            .map(|step| step.instructions.as_str())
            .chain([instructions])
            .map(str::to_lowercase)
            .collect();
        let asks_for_starts = |text: &String| START_PHRASES.iter().any(|phrase| text.contains(phrase));
        WorkerNeeds {
            works_one_chunk: false,
            reports_starts: in_doubt != InDoubtPolicy::Retry || texts.iter().any(asks_for_starts),
            // A step may forbid what another one allows.
            may_skip: !texts.iter().any(|text| forbids_skipping(text))
                || texts.iter().any(|text| allows_skipping(text)),
            changes_files: texts.iter().any(|text| speaks_of_files(text)),
            in_doubt,
        }
    }

    /// The same for a worker that a runner starts for one chunk.
    pub fn for_one_chunk(self) -> Self {
        WorkerNeeds { works_one_chunk: true, ..self }
    }
}

/// Whether a text in lower case speaks of files under version control.
pub(super) fn speaks_of_files(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| FILE_WORDS.contains(&word))
}

/// Whether a text in lower case forbids to skip an item.
fn forbids_skipping(text: &str) -> bool {
    mentions_of_skipping(text).any(|is_forbidden| is_forbidden)
}

/// Whether a text in lower case speaks of skipping an item and does not forbid it.
fn allows_skipping(text: &str) -> bool {
    mentions_of_skipping(text).any(|is_forbidden| !is_forbidden)
}

/// For each word that means skipping: whether the same clause negates it.
fn mentions_of_skipping(text: &str) -> impl Iterator<Item = bool> {
    text.split(['.', ',', ';', ':', '!', '?', '\n', '(', ')']).flat_map(|clause| {
        let words: Vec<&str> = clause
            .split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’'))
            .filter(|word| !word.is_empty())
            .collect();
        let mentions: Vec<bool> = (0..words.len())
            .filter(|at| words[*at].starts_with("skip"))
            .map(|at| is_negated(words[..at].iter().rev(), words[at + 1..].iter()))
            .collect();
        mentions
    })
}

/// Whether the words before a word, last first, or those after it negate it.
fn is_negated<'a>(
    before: impl Iterator<Item = &'a &'a str>,
    after: impl Iterator<Item = &'a &'a str>,
) -> bool {
    let negates = |word: &str| NEGATIONS.contains(&word) || word.ends_with("n't") || word.ends_with("n’t");
    let mut before = before.skip_while(|word| FILLERS.contains(*word));
    let after: Vec<&str> = after.copied().take(3).collect();
    before.next().is_some_and(|word| negates(word))
        || after.contains(&"forbidden")
        || after.windows(2).any(|pair| negates(pair[0]) && pair[1] == "allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(instructions: &str) -> WorkerNeeds {
        WorkerNeeds::new(instructions, &Steps::default(), InDoubtPolicy::Retry)
    }

    #[test]
    fn skipping_is_left_out_only_if_the_instructions_forbid_it() {
        fn check(instructions: &str, may_skip: bool) {
            assert_eq!(needs(instructions).may_skip, may_skip, "{instructions}");
        }
        check("Classify each mail.", true);
        check("If it is not a bug, skip it.", true);
        check("Do not answer; skip those without a sender.", true);
        check("Never skip an item.", false);
        check("Don't skip anything.", false);
        check("No item may be skipped.", false);
        check("Do not report items as skipped: decide.", false);
        check("Skipping is not allowed.", false);
        check("The outcome \"skipped\" is forbidden.", false);
        check("Never skip bugs. Skip duplicates.", true);
    }

    #[test]
    fn starts_are_reported_if_the_batch_or_its_instructions_ask_for_it() {
        assert!(!needs("Classify each mail.").reports_starts);
        assert!(needs("Delete the account. This cannot be undone.").reports_starts);
        let asks = WorkerNeeds::new("Send it.", &Steps::default(), InDoubtPolicy::Ask);
        assert!(asks.reports_starts);
        let steps: Result<Steps, _> =
            r#"[{"name": "send", "instructions": "Report each item as started first."}]"#.parse();
        let of_step = steps.map(|steps| WorkerNeeds::new("Mails.", &steps, InDoubtPolicy::Retry));
        assert_eq!(of_step.map(|needs| needs.reports_starts), Ok(true));
    }

    #[test]
    fn commits_are_mentioned_if_the_instructions_speak_of_files() {
        assert!(!needs("Classify each mail.").changes_files);
        assert!(needs("Fix the imports of each file.").changes_files);
        assert!(!needs("Profile each customer.").changes_files);
    }
}
