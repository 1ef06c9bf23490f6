//! Reads the settings of a profile from its table.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::{check_allowed_name, check_set_name};
use super::limits::Limits;
use super::per::Per;
use super::profile::{Profile, ProfileCommand, WorkDirSetting};
use super::profile_name::ProfileName;
use super::sandbox::SandboxSetting;
use super::setting_values::IntegerRule;
use super::table_reader::TableReader;
use super::template::{Placeholder, Template};
use crate::error::{Error, Result};
use crate::model::batch::MAX_BACKOFF_SECONDS;
use crate::model::failure_streak::PauseAfterFailures;
use crate::model::retry::RetryPolicy;
use crate::model::text::{LineText, excerpt};

/// The largest number of words in a command.
const MAX_COMMAND_WORDS: usize = 256;
/// The largest size of a command, or of a variable's fixed value, in bytes.
const MAX_BYTES: usize = 32 * 1024;
/// The default of `max_starts_per_minute` for workers that run per chunk.
const CHUNK_STARTS_PER_MINUTE: u64 = 30;
/// The default of `output_limit`, in bytes.
const OUTPUT_LIMIT: u64 = 1024 * 1024;
/// The default of `retry_exit_codes`: EX_TEMPFAIL of sysexits.h.
const RETRY_EXIT_CODES: [i64; 1] = [75];
/// The default of `pause_after_failures`.
const PAUSE_AFTER_FAILURES: u64 = 10;
/// The placeholders of arguments and variables.
const COMMAND_PLACEHOLDERS: [Placeholder; 3] =
    [Placeholder::Batch, Placeholder::Chunk, Placeholder::McpConfig];

impl Profile {
    /// Reads `[worker.NAME]`.
    pub(super) fn read(
        name: &str,
        mut from: TableReader<'_>,
        roots: &[PathBuf],
        limits: &Limits,
        home: Option<&str>,
    ) -> Result<Self> {
        let name: ProfileName = name
            .parse()
            .map_err(|why: String| Error::invalid(format!("{}: {why}", from.path().display())))?;
        let command = read_command(&mut from, home)?;
        let per = read_per(&mut from)?;
        let (allowed_variables, set_variables) = read_variables(&mut from, home)?;
        let work_dir = read_work_dir(&mut from, home)?;
        let sandbox = SandboxSetting::read(&mut from, per, home)?;
        let per_chunk = per == Per::Chunk;
        let timeout = from.seconds("timeout_s", 1..=86_400, if per_chunk { 14_400 } else { 600 })?;
        let stalled_after = read_stalled_after(&mut from, per)?;
        let grace = from.seconds("grace_s", 0..=300, 5)?;
        let default_parallel = limits.max_parallel as u64;
        let parallel = IntegerRule { range: 1..=64, unit: "workers", default: Some(default_parallel) };
        let max_parallel = from.integer("max_parallel", &parallel)?.unwrap_or(default_parallel) as usize;
        let starts = IntegerRule {
            range: 1..=100_000,
            unit: "starts per minute",
            default: per_chunk.then_some(CHUNK_STARTS_PER_MINUTE),
        };
        let max_starts_per_minute = from.integer("max_starts_per_minute", &starts)?.map(|limit| limit as u32);
        let memory = IntegerRule { range: 16..=1_048_576, unit: "MiB", default: None };
        let memory_mb = from.integer("memory_mb", &memory)?;
        let output = IntegerRule { range: 4_096..=1_073_741_824, unit: "bytes", default: Some(OUTPUT_LIMIT) };
        let output_limit = from.integer("output_limit", &output)?.unwrap_or(OUTPUT_LIMIT);
        let retry_exit_codes = from
            .integers("retry_exit_codes", 1..=255, &RETRY_EXIT_CODES)?
            .into_iter()
            .map(|code| code as u8)
            .collect();
        let retry = read_retry(&mut from, per)?;
        let failures = IntegerRule {
            range: 0..=u64::from(PauseAfterFailures::MAX),
            unit: "failures in a row (0 switches the pause off)",
            default: Some(PAUSE_AFTER_FAILURES),
        };
        let failures = from.integer("pause_after_failures", &failures)?.unwrap_or(PAUSE_AFTER_FAILURES);
        let pause_after_failures = PauseAfterFailures::of(failures as u32);
        let steps = read_steps(&mut from, home)?;
        Ok(Profile {
            name,
            per,
            timeout,
            stalled_after,
            grace,
            max_parallel,
            max_starts_per_minute,
            memory_mb,
            output_limit,
            retry_exit_codes,
            retry,
            pause_after_failures,
            command,
            steps,
            allowed_variables,
            set_variables,
            work_dir,
            sandbox,
            roots: roots.to_vec(),
            settings: from.finish()?,
        })
    }
}

fn read_command(from: &mut TableReader<'_>, home: Option<&str>) -> Result<ProfileCommand> {
    let words = from.strings("command", &[])?;
    let Some((program, arguments)) = words.split_first() else {
        from.note_missing(
            "command",
            "give the program and its arguments as a list: command = [\"my-agent\", \"--quiet\"]",
        );
        return Ok(ProfileCommand { program: String::new(), arguments: Vec::new() });
    };
    let bytes: usize = words.iter().map(|word| word.len()).sum();
    if words.len() > MAX_COMMAND_WORDS || bytes > MAX_BYTES || words.iter().any(|word| word.contains('\0')) {
        let why = format!(
            "a command has at most {MAX_COMMAND_WORDS} words and {MAX_BYTES} bytes, and no NUL; put the rest into a script"
        );
        return Err(from.bad_value("command", &why));
    }
    let program = Template::parse(program, &[], home).map_err(|why| from.bad_value("command", &why))?;
    let program = program.literal_start().to_owned();
    if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
        return Err(from.bad_value(
            "command",
            "the program is a name to search for in PATH, or an absolute path; a relative path could lead to a file that an agent wrote",
        ));
    }
    let arguments = arguments.iter().map(|argument| Template::parse(argument, &COMMAND_PLACEHOLDERS, home));
    let arguments = arguments.collect::<Result<_, _>>().map_err(|why| from.bad_value("command", &why))?;
    Ok(ProfileCommand { program, arguments })
}

/// Reads `[worker.NAME.steps.STEP]`: the commands of steps that have one of their own.
fn read_steps(from: &mut TableReader<'_>, home: Option<&str>) -> Result<BTreeMap<String, ProfileCommand>> {
    let table = from.table("steps")?;
    let mut steps = BTreeMap::new();
    for (name, mut step) in table.named_tables()? {
        if let Err(why) = name.parse::<LineText>().and_then(|line| match line.non_empty() {
            Some(_) => Ok(()),
            None => Err("the name of a step is not empty".to_owned()),
        }) {
            return Err(from.bad_value("steps", &why));
        }
        steps.insert(name.to_owned(), read_command(&mut step, home)?);
        from.finish_table(&format!("steps.{}", excerpt(name)), step)?;
    }
    Ok(steps)
}

fn read_per(from: &mut TableReader<'_>) -> Result<Per> {
    match from.string("per")? {
        Some("item") => Ok(Per::Item),
        Some("chunk") => Ok(Per::Chunk),
        Some(_) => Err(from.bad_value("per", "allowed: \"item\" or \"chunk\"")),
        None => {
            from.note_missing(
                "per",
                "set it to \"item\" (run once per item, with its JSON on standard input) or \"chunk\" (an agent with the MCP tools, run once per chunk)",
            );
            // More settings are allowed for a chunk.
            Ok(Per::Chunk)
        }
    }
}

type Variables = (Vec<String>, Vec<(String, Template)>);

fn read_variables(from: &mut TableReader<'_>, home: Option<&str>) -> Result<Variables> {
    let mut env = from.table("env")?;
    let mut allowed = Vec::new();
    for pattern in env.strings("allow", &[])? {
        check_allowed_name(pattern)
            .map_err(|why| env.bad_value("allow", &format!("'{}': {why}", excerpt(pattern))))?;
        allowed.push(pattern.to_owned());
    }
    let mut set = Vec::new();
    for (name, value) in env.secrets("set")? {
        let refuse = |why: String| env.bad_secret("set", name, &why);
        check_set_name(name).map_err(refuse)?;
        if value.len() > MAX_BYTES || value.contains('\0') {
            return Err(refuse(format!(
                "a value has at most {MAX_BYTES} bytes and no NUL; put the rest into a file"
            )));
        }
        let value = Template::parse(value, &COMMAND_PLACEHOLDERS, home).map_err(refuse)?;
        set.push((name.to_owned(), value));
    }
    from.finish_table("env", env)?;
    Ok((allowed, set))
}

fn read_work_dir(from: &mut TableReader<'_>, home: Option<&str>) -> Result<WorkDirSetting> {
    let cwd = from.string("cwd")?;
    let worktree = from.string("worktree")?;
    let (field, text, placeholders) = match (cwd, worktree) {
        (None, None) => return Ok(WorkDirSetting::Default),
        (Some(text), None) => {
            ("cwd", text, &[Placeholder::Batch, Placeholder::Chunk, Placeholder::Project][..])
        }
        (None, Some(text)) => ("worktree", text, &[Placeholder::Project][..]),
        (Some(_), Some(_)) => {
            return Err(from.bad_value(
                "worktree",
                "a worker with worktree starts in its worktree; remove either cwd or worktree",
            ));
        }
    };
    let template = Template::parse(text, placeholders, home).map_err(|why| from.bad_value(field, &why))?;
    if !template.literal_start().starts_with('/') || text.contains('\0') {
        return Err(from.bad_value(field, "expected an absolute path; start with / or {home}/"));
    }
    Ok(if field == "cwd" { WorkDirSetting::Folder(template) } else { WorkDirSetting::Worktree(template) })
}

fn read_stalled_after(from: &mut TableReader<'_>, per: Per) -> Result<Option<Duration>> {
    const NAME: &str = "stalled_after_s";
    match per {
        Per::Chunk => from.seconds(NAME, 1..=86_400, 1_800).map(Some),
        Per::Item if from.contains(NAME) => Err(from.bad_value(
            NAME,
            "only for per = \"chunk\"; a worker that runs once per item is limited by timeout_s",
        )),
        Per::Item => Ok(None),
    }
}

/// Reads `[worker.NAME.retry]`.
fn read_retry(from: &mut TableReader<'_>, per: Per) -> Result<RetryPolicy> {
    let default = if per == Per::Chunk { RetryPolicy::PER_CHUNK } else { RetryPolicy::PER_ITEM };
    let longest = MAX_BACKOFF_SECONDS as f64;
    let mut table = from.table("retry")?;
    let mut seconds = |field, range, default: Duration| -> Result<Duration> {
        let seconds = table.decimal(field, range, "seconds", default.as_secs_f64())?;
        Ok(Duration::from_secs_f64(seconds))
    };
    let first_delay = seconds("first_delay_s", 0.01..=longest, default.first_delay)?;
    let longest_delay = seconds("longest_delay_s", 0.01..=longest, default.longest_delay)?;
    let total = seconds("total_s", 0.0..=604_800.0, default.total)?;
    let factor = table.decimal("factor", 1.0..=100.0, "", default.factor)?;
    if first_delay > longest_delay {
        return Err(table.bad_value(
            "first_delay_s",
            &format!(
                "longer than longest_delay_s, {} seconds; raise that one as well",
                longest_delay.as_secs_f64()
            ),
        ));
    }
    from.finish_table("retry", table)?;
    Ok(RetryPolicy { first_delay, factor, longest_delay, total, retries: None })
}
