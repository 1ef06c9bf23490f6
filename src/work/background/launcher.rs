//! Starting a runner so that it outlives whoever asked for it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::model::field::visible;
use crate::model::id::TaskId;
use crate::ops::{RunnerLauncher, RunnerStart, Session, batch_state, find_runner};
use crate::work::preflight;
use crate::work::runner_lock;
use crate::work::supervisor::this_program;

/// How long a runner may take until it is at work.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How much of the end of a runner's log is told, in bytes.
const LAST_WORDS: i64 = 2_000;
/// How much of the last line an error message shows; a configuration error names a path and a remedy.
const LAST_LINE_CHARS: usize = 400;

/// Starts runners for a store.
#[derive(Debug, Clone)]
pub struct Launcher {
    store: PathBuf,
    data: PathBuf,
    /// The folders that agents write to.
    closed: Vec<PathBuf>,
}

impl Launcher {
    /// For a store's file, from a process whose agents write to `closed`.
    pub fn new(store: &Path, data: &Path, closed: Vec<PathBuf>) -> Self {
        Launcher { store: store.to_owned(), data: data.to_owned(), closed }
    }
}

impl RunnerLauncher for Launcher {
    fn check(&self, profile: &str, project: Option<&str>) -> Result<()> {
        let config = Config::load(&self.closed)?;
        let profile = config.profile(profile)?;
        profile.takes_project(project)?;
        preflight::check(profile, &self.data).map(|_| ())
    }

    fn is_running(&self, batch: &TaskId) -> Result<bool> {
        runner_lock::is_held(&self.data, batch)
    }

    fn start(&self, batch: &TaskId) -> Result<RunnerStart> {
        if runner_lock::is_held(&self.data, batch)? {
            return Ok(RunnerStart::AlreadyRunning);
        }
        // The runner doesn't know which folders are closed: the profile may have been named elsewhere.
        Config::load(&self.closed)?;
        // A process in between, so that the runner is nobody's child and leaves nobody a zombie.
        let told = Command::new(this_program()?)
            .args(["--json".as_ref(), "--db".as_ref(), self.store.as_os_str(), "work".as_ref()])
            .args(["--batch", batch.as_str(), "--detach"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| Error::internal("a runner cannot be started", error))?;
        let reply: Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
        match (reply.get("pid").and_then(Value::as_u64), reply.get("message").and_then(Value::as_str)) {
            (Some(pid), _) => Ok(RunnerStart::Started(u32::try_from(pid).unwrap_or_default())),
            (None, _) if reply["success"] == true => Ok(RunnerStart::AlreadyRunning),
            (None, Some(why)) => {
                let code = Code::deserialize(&reply["code"]).unwrap_or(Code::Internal);
                Err(Error::new(code, why))
            }
            (None, None) => Err(Error::new(Code::Internal, format!("the runner ended with {}", told.status))),
        }
    }
}

/// What a runner writes of itself.
fn log_of(data: &Path, batch: &TaskId) -> Result<(PathBuf, File)> {
    let folder = data.join("logs");
    let path = folder.join(format!("runner-{batch}.log"));
    let cannot = |error| Error::internal(format!("{} cannot be written", path.display()), error);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
    let file =
        OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path).map_err(cannot)?;
    Ok((path, file))
}

/// Starts a runner, or one that stands by, that goes on when this process ends.
pub(super) fn start(store: &Path, data: &Path, batch: &TaskId, more: &[&str]) -> Result<Child> {
    let (_, log) = log_of(data, batch)?;
    let cannot = |error| Error::internal("a runner cannot be started", error);
    let errors = log.try_clone().map_err(cannot)?;
    Command::new(this_program()?)
        .args(["--db".as_ref(), store.as_os_str(), "work".as_ref()])
        .args(["--batch", batch.as_str(), "--background"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(cannot)
}

/// `tasktally work --detach`: starts a runner, waits until it is at work, and says as which process.
///
/// # Errors
/// Why it is not.
pub(in crate::work) fn detach(session: &Session, store: &Path, batch: &TaskId) -> Result<Value> {
    let row = batch_state(session, batch)?.row;
    let (path, mut log) = log_of(session.folder(), batch)?;
    let begins = log.seek(SeekFrom::End(0)).unwrap_or_default();
    let mut runner = start(store, session.folder(), batch, &[])?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        let pid = runner.id();
        if find_runner(session, row)?.is_some_and(|at_work| at_work.pid == pid) {
            let message = format!("Batch {batch} is worked in the background by process {pid}");
            return Ok(json!({ "success": true, "message": message, "pid": pid }));
        }
        let ended =
            runner.try_wait().map_err(|error| Error::internal("a runner cannot be waited for", error))?;
        if ended.is_some() || Instant::now() >= give_up {
            if runner_lock::is_held(session.folder(), batch)? {
                let message = format!("Batch {batch} is worked in the background already");
                return Ok(json!({ "success": true, "message": message }));
            }
            if ended.is_some_and(|status| status.success()) {
                // It was through before anybody looked.
                let message = format!("Batch {batch} was worked in the background, process {pid} has ended");
                return Ok(json!({ "success": true, "message": message, "pid": pid }));
            }
            let why = last_words(&mut log, begins);
            let how = ended.map_or("is not at work".to_owned(), |status| format!("ended with {status}"));
            return Err(Error::new(
                Code::Internal,
                format!("the runner of batch {batch} {how}: {why} (more in {})", path.display()),
            ));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn last_words(log: &mut File, begins: u64) -> String {
    let mut read = || -> std::io::Result<String> {
        let length = log.metadata()?.len();
        let from = begins.max(length.saturating_sub(LAST_WORDS.unsigned_abs()));
        log.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => visible(text.trim().lines().last().unwrap_or("it said nothing"), LAST_LINE_CHARS),
        Err(error) => format!("its log cannot be read: {error}"),
    }
}
