//! Steps and checkpoints: the passes of a batch over its chunks, and when a person decides whether it continues.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::text::{LineText, LongText, excerpt};

/// The most steps of a batch.
pub const MAX_STEPS: usize = 20;

/// The step name of a batch without named steps.
pub const DEFAULT_STEP_NAME: &str = "work";

word_enum!(
    /// When a batch waits for a person's decision.
    Checkpoint, "checkpoint" {
        /// Never.
        None = "none",
        /// After each chunk.
        Chunk = "chunk",
        /// After a step, once all chunks have completed it.
        Step = "step",
    }
);

impl Checkpoint {
    /// Whether a chunk waits for a decision after step number `step` (from 0) of `steps`: before each further step,
    /// and at the end if there is only one step.
    pub fn asks_after(self, step: usize, steps: usize) -> bool {
        self != Checkpoint::None && (step + 1 < steps || steps == 1)
    }
}

word_enum!(
    /// Whose decisions count at a checkpoint.
    Reviewers, "review" {
        /// Anybody's; an agent's is recorded as relayed.
        Any = "any",
        /// Only a person's.
        Person = "person",
    }
);

word_enum!(
    /// A person's decision at a checkpoint.
    Decision, "decision" {
        /// Continue.
        Approve = "approve",
        /// Reject the work; the chunk ends, and no retry opens it.
        Reject = "reject",
        /// Work the chunk again.
        Redo = "redo",
    }
);

/// A pass over every chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{name, instructions, only_categories?}")]
pub struct Step {
    /// Its name.
    pub name: LineText,
    /// Instructions for its workers, in addition to the batch's.
    pub instructions: LongText,
    /// The categories of the previous step whose items it processes; empty: all items that were done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_categories: Vec<LineText>,
}

impl Step {
    /// Whether it processes an item that the step before settled as done with this category.
    pub fn processes(&self, category: Option<&str>) -> bool {
        self.only_categories.is_empty()
            || self.only_categories.iter().any(|wanted| Some(wanted.as_str()) == category)
    }
}

/// The steps of a batch, in order. Without any, the batch has one step named `work`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Steps(Vec<Step>);

impl Steps {
    /// Checks the steps.
    ///
    /// # Errors
    /// The reason why the steps cannot be used.
    pub fn new(steps: Vec<Step>) -> Result<Self, String> {
        if steps.len() > MAX_STEPS {
            return Err(format!(
                "steps: {} steps are too many; a batch has at most {MAX_STEPS}",
                steps.len()
            ));
        }
        for (number, step) in steps.iter().enumerate() {
            let name = step.name.as_str();
            if step.name.non_empty().is_none() || step.instructions.non_empty().is_none() {
                return Err(format!("steps: step {} lacks a name or instructions; give both", number + 1));
            }
            if steps.iter().take(number).any(|earlier| earlier.name == step.name) {
                return Err(format!("steps: two steps are named '{name}'; give each step its own name"));
            }
            if number == 0 && !step.only_categories.is_empty() {
                return Err(format!(
                    "steps: step '{name}' is the first, so only_categories has no earlier categories to select; leave it out"
                ));
            }
        }
        Ok(Steps(steps))
    }

    /// The number of steps, at least 1.
    pub fn count(&self) -> usize {
        self.0.len().max(1)
    }

    /// The name of step `number`, from 0.
    pub fn name(&self, number: usize) -> &str {
        self.0.get(number).map_or(DEFAULT_STEP_NAME, |step| step.name.as_str())
    }

    /// The names of all steps, in order.
    pub fn names(&self) -> Vec<String> {
        (0..self.count()).map(|number| self.name(number).to_owned()).collect()
    }

    /// Step `number` as given; `None` if the batch has no named steps.
    pub fn get(&self, number: usize) -> Option<&Step> {
        self.0.get(number)
    }

    /// The named steps, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Step> {
        self.0.iter()
    }

    /// Whether the batch has no named steps.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A command is given for a step that a batch does not have.
#[derive(Debug)]
pub struct UnknownStep {
    /// The start of the step's name.
    pub name: String,
    /// The start of the name of each step of the batch, in quotation marks.
    pub known: String,
}

/// The steps of a batch that have no command of their own. `with_own` are the names of the steps that have one.
///
/// # Errors
/// The batch has no step of one of these names.
pub fn steps_without_own_command<'a>(
    of_batch: &'a [String],
    with_own: &[&String],
) -> Result<Vec<&'a String>, UnknownStep> {
    if let Some(unknown) = with_own.iter().find(|name| !of_batch.contains(name)) {
        let known: Vec<String> = of_batch.iter().map(|name| format!("'{}'", excerpt(name))).collect();
        return Err(UnknownStep { name: excerpt(unknown).to_string(), known: known.join(", ") });
    }
    Ok(of_batch.iter().filter(|name| !with_own.contains(name)).collect())
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "write for example [{\"name\": \"check\", \"instructions\": \"what to do\"}]";
        let steps: Vec<serde_json::Value> = serde_json::from_str(text)
            .map_err(|_| format!("'{}' is not a JSON array; {EXAMPLE}", excerpt(text)))?;
        let steps = serde_json::from_value(steps.into()).map_err(|error| format!("{error}; {EXAMPLE}"))?;
        Steps::new(steps)
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Steps::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

inline_schema!(Steps, {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "instructions": {"type": "string"},
            "only_categories": {"type": "array", "items": {"type": "string"}}
        },
        "required": ["name", "instructions"],
        "additionalProperties": false
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_named_and_the_first_takes_everything() {
        let steps: Steps = r#"[{"name":"classify","instructions":"a"},
                               {"name":"execute","instructions":"b","only_categories":["archive"]}]"#
            .parse()
            .unwrap();
        assert_eq!((steps.count(), steps.name(1)), (2, "execute"));
        assert_eq!((Steps::default().count(), Steps::default().name(0)), (1, DEFAULT_STEP_NAME));
        for (bad, reason) in [
            (
                r#"[{"name":"a","instructions":"x"},{"name":"a","instructions":"y"}]"#,
                "two steps are named 'a'",
            ),
            (r#"[{"name":"a","instructions":"x","only_categories":["k"]}]"#, "is the first"),
            (r#"[{"name":"","instructions":"x"}]"#, "lacks a name"),
            (r#"[{"name":"a","instruction":"x"}]"#, "unknown field"),
        ] {
            let error = bad.parse::<Steps>().unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }

    #[test]
    fn a_checkpoint_comes_before_each_further_step_or_after_the_only_one() {
        assert!(Checkpoint::Chunk.asks_after(0, 1) && Checkpoint::Step.asks_after(0, 1));
        assert!(Checkpoint::Chunk.asks_after(0, 2) && !Checkpoint::Chunk.asks_after(1, 2));
        assert!(!Checkpoint::None.asks_after(0, 2));
    }
}
