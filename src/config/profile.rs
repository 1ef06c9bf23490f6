//! A profile: a worker command that the operator wrote, and the bounds within which it runs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::environment::{check_allowed, check_set, environment};
use super::reader::{Reader, Setting, Whole};
use super::template::{Template, Word};
use super::{Job, Limits};
use crate::error::{Error, Result};
use crate::model::text::excerpt;

/// The most words of a command.
const MAX_WORDS: usize = 256;
/// The most bytes of a command, or of a variable's fixed value.
const MAX_BYTES: usize = 32 * 1024;
/// How many chunk workers start in a minute, unless the profile says otherwise.
const CHUNK_STARTS: u64 = 30;

/// A profile's name, by which agents ask for it: 1 to 64 letters, digits, `-` or `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProfileName(String);

impl ProfileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ProfileName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if fits {
            Ok(ProfileName(text.to_owned()))
        } else {
            Err(format!(
                "'{}' is no profile's name: 1 to 64 letters, digits, '-' or '_', the first a letter or digit",
                excerpt(text)
            ))
        }
    }
}

/// For what the command is run once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// An item: its JSON on standard input, the receipt from standard output.
    Item,
    /// A chunk: the worker prompt on standard input, the tools through `TASKTALLY_MCP_CONFIG`.
    Chunk,
}

/// Where a worker is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cwd {
    /// A folder of the chunk's own in Tasktally's data folder.
    Own,
    /// A folder beneath an allowed root.
    Folder(Template),
    /// A git worktree of the chunk's own, of the repository at this path.
    Worktree(Template),
}

/// A worker command, as `[worker.NAME]` has it.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// For what it is run once.
    pub per: Per,
    /// How long one run may take.
    pub timeout: Duration,
    /// How long a chunk's worker may go without a receipt; none for one that runs once an item.
    pub stalled_after: Option<Duration>,
    /// How long a worker has to end by itself once it was asked to.
    pub grace: Duration,
    /// The most workers of it at once.
    pub max_parallel: usize,
    /// The most starts in any minute.
    pub max_starts_per_minute: Option<u32>,
    /// The most memory of a worker and all that it started, in MiB.
    pub memory_mb: Option<u64>,
    /// How much of each of a worker's two outputs is kept, in bytes.
    pub output_limit: u64,
    /// Exit codes that ask for the item or chunk to be tried again.
    pub retry_exit_codes: Vec<u8>,
    program: String,
    arguments: Vec<Template>,
    allow: Vec<String>,
    set: Vec<(String, Template)>,
    pub(super) cwd: Cwd,
    pub(super) roots: Vec<PathBuf>,
    pub(super) settings: Vec<Setting>,
}

impl Profile {
    pub(super) fn read(
        name: &str,
        mut from: Reader<'_>,
        roots: &[PathBuf],
        limits: &Limits,
        home: Option<&str>,
    ) -> Result<Self> {
        let name: ProfileName = name
            .parse()
            .map_err(|why: String| Error::invalid(format!("{}: {why}", from.path().display())))?;
        let (program, arguments) = command(&mut from, home)?;
        let per = per(&mut from)?;
        let (allow, set) = variables(&mut from, home)?;
        let cwd = cwd(&mut from, home)?;
        let for_chunks = per == Per::Chunk;
        let timeout = from.seconds("timeout_s", 1..=86_400, if for_chunks { 14_400 } else { 600 })?;
        let stalled_after = stalled_after(&mut from, per)?;
        let grace = from.seconds("grace_s", 0..=300, 5)?;
        let most = limits.max_parallel as u64;
        let max_parallel = from
            .whole("max_parallel", &Whole { range: 1..=64, unit: "workers at once", default: Some(most) })?
            .unwrap_or(most);
        let starts = Whole {
            range: 1..=100_000,
            unit: "starts a minute",
            default: for_chunks.then_some(CHUNK_STARTS),
        };
        let max_starts_per_minute = from.whole("max_starts_per_minute", &starts)?.map(|most| most as u32);
        let memory_mb =
            from.whole("memory_mb", &Whole { range: 16..=1_048_576, unit: "MiB", default: None })?;
        const OUTPUT: u64 = 1024 * 1024;
        let output =
            Whole { range: 4_096..=1_073_741_824, unit: "bytes of each output", default: Some(OUTPUT) };
        let output_limit = from.whole("output_limit", &output)?.unwrap_or(OUTPUT);
        let retry_exit_codes =
            from.wholes("retry_exit_codes", 1..=255, &[75])?.into_iter().map(|code| code as u8).collect();
        Ok(Profile {
            name,
            per,
            timeout,
            stalled_after,
            grace,
            max_parallel: max_parallel as usize,
            max_starts_per_minute,
            memory_mb,
            output_limit,
            retry_exit_codes,
            program,
            arguments,
            allow,
            set,
            cwd,
            roots: roots.to_vec(),
            settings: from.end()?,
        })
    }

    /// Each setting as the file has it, or its default.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The program's file: the path that the profile names, or the first of that name in `path`'s absolute
    /// folders, as a shell would find it. `path` is the worker's `PATH`.
    ///
    /// # Errors
    /// Where there is no such program, or it isn't one.
    pub fn program(&self, path: Option<&OsStr>) -> Result<PathBuf> {
        let name = Path::new(&self.program);
        let runs = |file: &Path| {
            file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        if name.is_absolute() {
            if runs(name) {
                return Ok(name.to_owned());
            }
            return Err(self.wrong(&format!(
                "command: {} is not there or cannot be executed; install it, or correct the path",
                excerpt(&self.program)
            )));
        }
        let folders: Vec<PathBuf> =
            std::env::split_paths(path.unwrap_or_default()).filter(|folder| folder.is_absolute()).collect();
        folders.iter().map(|folder| folder.join(name)).find(|file| runs(file)).ok_or_else(|| {
            let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            self.wrong(&format!(
                "command: there is no program '{}' in PATH ({}); install it, or give its absolute path",
                excerpt(&self.program),
                looked.join(":")
            ))
        })
    }

    /// The command's arguments for one job, without the program.
    ///
    /// # Errors
    /// Where a placeholder has nothing to stand for, or a project's name is no plain name.
    pub fn arguments(&self, job: &Job<'_>, mcp_config: Option<&Path>) -> Result<Vec<OsString>> {
        self.arguments.iter().map(|argument| argument.fill(job, mcp_config)).collect()
    }

    /// The whole environment of one worker: what the profile lets through of `runner`, then its fixed values,
    /// then what Tasktally tells it (`told`, names that begin with `TASKTALLY_`). Nothing else is to be added.
    ///
    /// # Errors
    /// As [`Profile::arguments`].
    pub fn environment(
        &self,
        runner: impl IntoIterator<Item = (OsString, OsString)>,
        job: &Job<'_>,
        mcp_config: Option<&Path>,
        told: Vec<(String, OsString)>,
    ) -> Result<BTreeMap<OsString, OsString>> {
        let set = self.set.iter().map(|(name, value)| Ok((name.clone(), value.fill(job, mcp_config)?)));
        Ok(environment(runner, &self.allow, set.collect::<Result<_>>()?, told))
    }

    /// A refusal that names the profile.
    pub(super) fn wrong(&self, why: &str) -> Error {
        Error::invalid(format!("worker.{}.{why}", self.name))
    }
}

fn command(from: &mut Reader<'_>, home: Option<&str>) -> Result<(String, Vec<Template>)> {
    let words = from.texts("command", &[])?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(from.lacks(
            "command",
            "give the program and its arguments as a list: command = [\"my-agent\", \"--quiet\"]",
        ));
    };
    let bytes: usize = words.iter().map(|word| word.len()).sum();
    if words.len() > MAX_WORDS || bytes > MAX_BYTES || words.iter().any(|word| word.contains('\0')) {
        let why = format!(
            "at most {MAX_WORDS} words and {MAX_BYTES} bytes together, no NUL; put the rest into a script"
        );
        return Err(from.wrong("command", &why));
    }
    let program = Template::parse(program, &[], home).map_err(|why| from.wrong("command", &why))?;
    let program = program.start().to_owned();
    if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
        return Err(from.wrong(
            "command",
            "the program is a name that PATH finds, or an absolute path; a relative one would depend on where agents write",
        ));
    }
    let words = [Word::Batch, Word::Chunk, Word::McpConfig];
    let arguments = arguments.iter().map(|argument| Template::parse(argument, &words, home));
    Ok((program, arguments.collect::<Result<_, _>>().map_err(|why| from.wrong("command", &why))?))
}

fn per(from: &mut Reader<'_>) -> Result<Per> {
    match from.text("per")? {
        Some("item") => Ok(Per::Item),
        Some("chunk") => Ok(Per::Chunk),
        Some(_) => Err(from.wrong("per", "it is \"item\" or \"chunk\"")),
        None => Err(from.lacks(
            "per",
            "it is \"item\" (run once an item, its JSON on standard input) or \"chunk\" (an agent with the MCP tools, run once a chunk)",
        )),
    }
}

type Variables = (Vec<String>, Vec<(String, Template)>);

fn variables(from: &mut Reader<'_>, home: Option<&str>) -> Result<Variables> {
    let mut env = from.table("env")?;
    let mut allow = Vec::new();
    for pattern in env.texts("allow", &[])? {
        check_allowed(pattern)
            .map_err(|why| env.wrong("allow", &format!("'{}': {why}", excerpt(pattern))))?;
        allow.push(pattern.to_owned());
    }
    let mut set = Vec::new();
    for (name, value) in env.secrets("set")? {
        let refuse = |why: String| env.wrong_secret("set", name, &why);
        check_set(name).map_err(refuse)?;
        if value.len() > MAX_BYTES || value.contains('\0') {
            return Err(refuse(format!(
                "a value has at most {MAX_BYTES} bytes, no NUL; put the rest into a file"
            )));
        }
        let words = [Word::Batch, Word::Chunk, Word::McpConfig];
        set.push((name.to_owned(), Template::parse(value, &words, home).map_err(refuse)?));
    }
    from.take_in("env", env)?;
    Ok((allow, set))
}

fn cwd(from: &mut Reader<'_>, home: Option<&str>) -> Result<Cwd> {
    let cwd = from.text("cwd")?;
    let worktree = from.text("worktree")?;
    let (field, text, words) = match (cwd, worktree) {
        (None, None) => return Ok(Cwd::Own),
        (Some(text), None) => ("cwd", text, &[Word::Batch, Word::Chunk, Word::Project][..]),
        (None, Some(text)) => ("worktree", text, &[Word::Project][..]),
        (Some(_), Some(_)) => {
            return Err(
                from.wrong("worktree", "a worker is started in its worktree; leave cwd or worktree out")
            );
        }
    };
    let template = Template::parse(text, words, home).map_err(|why| from.wrong(field, &why))?;
    if !template.start().starts_with('/') || text.contains('\0') {
        return Err(from.wrong(field, "this is no absolute path; begin with / or {home}/"));
    }
    Ok(if field == "cwd" { Cwd::Folder(template) } else { Cwd::Worktree(template) })
}

fn stalled_after(from: &mut Reader<'_>, per: Per) -> Result<Option<Duration>> {
    const NAME: &str = "stalled_after_s";
    match per {
        Per::Chunk => from.seconds(NAME, 1..=86_400, 1_800).map(Some),
        Per::Item if from.sets(NAME) => Err(from.wrong(
            NAME,
            "a worker that runs once an item writes no receipts on the way; timeout_s bounds it; leave this out",
        )),
        Per::Item => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_word() {
        for name in ["claude", "a", "7-b_C", &"x".repeat(64)] {
            assert_eq!(name.parse::<ProfileName>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        for name in ["", "-x", "_x", "a b", "a/b", "../x", "a.b", "é", &"x".repeat(65)] {
            assert!(name.parse::<ProfileName>().unwrap_err().contains("1 to 64"), "{name}");
        }
    }
}
