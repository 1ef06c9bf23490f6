//! The commands of a batch's steps: which step has which, and whether all of them can be run.

use std::path::Path;

use super::command_check::check_command;
use crate::error::{Error, Result};
use crate::model::run_record::StepCommand;
use crate::model::step::{UnknownStep, steps_without_own_command};
use crate::model::text::excerpt;

/// Checks the commands of steps like the command itself, which is left out if every step has its own.
///
/// # Errors
/// `invalid_argument` with the reason.
pub(super) fn check_commands(command: &[String], steps: &[StepCommand], folder: &Path) -> Result<()> {
    for (number, step) in steps.iter().enumerate() {
        let name = excerpt(&step.step);
        if steps[..number].iter().any(|earlier| earlier.step == step.step) {
            return Err(Error::invalid(format!(
                "step-command: step '{name}' has two commands; leave one out, nothing was created or run"
            )));
        }
        check_command(&step.command, folder)
            .map_err(|error| Error::new(error.code, format!("step '{name}': {}", error.message)))?;
    }
    if command.is_empty() && !steps.is_empty() { Ok(()) } else { check_command(command, folder) }
}

/// Checks the commands against the names of a batch's steps. Returns a note if one command works several steps.
///
/// # Errors
/// The batch has no step of a name, or a step has no command.
pub(super) fn check_steps(
    command: &[String],
    steps: &[StepCommand],
    of_batch: &[String],
) -> Result<Option<String>> {
    let with_own: Vec<&String> = steps.iter().map(|step| &step.step).collect();
    let shared = steps_without_own_command(of_batch, &with_own).map_err(|UnknownStep { name, known }| {
        Error::invalid(format!("step-command: the batch has no step '{name}'; its steps are {known}"))
    })?;
    match shared.as_slice() {
        [missing, ..] if command.is_empty() => Err(Error::invalid(format!(
            "step '{0}' has no command; add --step-command '{0}=CMD', or a command after -- for all steps without their own",
            excerpt(missing)
        ))),
        [] | [_] => Ok(None),
        several => Ok(Some(format!(
            "The same command runs for {} of the steps, with TASKTALLY_STEP set to the step's name; --step-command gives a step a command of its own",
            several.len()
        ))),
    }
}
