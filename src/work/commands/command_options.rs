//! The options of `tasktally run` and `tasktally work` that limit their command.

use std::time::Duration;

use crate::model::duration_text::parse_duration;
use crate::model::run_record::{CommandLimits, StepCommand};
use crate::model::text::LineText;

/// The longest timeout and delay.
const DAY: Duration = Duration::from_secs(86_400);

/// The limits of a command.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CommandOptions {
    /// Stop the command if it takes longer for an item; the item has failed then. Seconds, or 500ms, 30s, 5m, 1h30m [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    timeout: Option<Duration>,
    /// Run the command again for an item that failed in any way, at most N times: after 1 s, 2 s, 4 s and so on [default: only after exit code 75, for an hour]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    retries: Option<u32>,
    /// Start the command at most once per DURATION, over all workers: not each worker, but all of them wait [default: no delay]
    #[arg(long, value_name = "DURATION", value_parser = parse_delay)]
    delay: Option<Duration>,
    /// The command of one step, for example 'move=./move.sh {}'; once for each step that has its own. Words are split as a shell would, but no shell runs
    #[arg(long = "step-command", value_name = "STEP=CMD", value_parser = parse_step_command)]
    pub(super) step_commands: Vec<StepCommand>,
}

impl CommandOptions {
    /// The limits that were given.
    pub(super) fn limits(&self) -> CommandLimits {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        CommandLimits {
            timeout_ms: self.timeout.map(millis),
            retries: self.retries,
            delay_ms: self.delay.map(millis),
        }
    }

    /// The first option that was given, and the setting of a profile that stands for it.
    pub(super) fn first_given(&self) -> Option<(&'static str, &'static str)> {
        if !self.step_commands.is_empty() {
            return Some(("step-command", "steps.STEP.command"));
        }
        match (self.timeout, self.retries, self.delay) {
            (Some(_), ..) => Some(("timeout", "timeout_s")),
            (None, Some(_), _) => Some(("retries", "retry")),
            (None, None, Some(_)) => Some(("delay", "max_starts_per_minute")),
            (None, None, None) => None,
        }
    }
}

fn parse_step_command(text: &str) -> Result<StepCommand, String> {
    const FORM: &str = "write STEP=CMD, for example 'move=./move.sh {}'";
    let (step, command) = text.split_once('=').ok_or(FORM)?;
    let step = step.trim().parse::<LineText>()?;
    let step = step.non_empty().ok_or(format!("the name of the step is missing; {FORM}"))?;
    match shlex::split(command) {
        Some(words) if !words.is_empty() => Ok(StepCommand { step: step.to_owned(), command: words }),
        Some(_) => Err(format!("step '{step}' has no command; {FORM}")),
        None => Err(format!("the command of step '{step}' has a quote or a backslash without its end")),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text, &(Duration::from_millis(1)..=DAY))
        .map_err(|why| format!("{why}; leave the option out for no limit"))
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    parse_duration(text, &(Duration::ZERO..=DAY))
}
