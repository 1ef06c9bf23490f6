//! Starts runner processes that outlive their parent.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::runner_log::RunnerLog;
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::ops::{RunnerPlace, Session, batch_state, find_runner};
use crate::work::{run_lock, this_program};

/// How long a runner may take until it works its batch.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often its state is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Starts a runner process for a batch. Its output goes to the runner log.
pub(super) fn spawn_runner(store: &Path, data: &Path, batch: &TaskId, options: &[&str]) -> Result<Child> {
    let log = RunnerLog::open(data, batch)?.file;
    let cannot = |error| Error::internal("a runner cannot be started", error);
    let stderr = log.try_clone().map_err(cannot)?;
    Command::new(this_program::running_executable()?)
        .args(["--db".as_ref(), store.as_os_str(), "work".as_ref()])
        .args(["--batch", batch.as_str(), "--background"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(stderr)
        .spawn()
        .map_err(cannot)
}

/// `tasktally work --detach`: starts a runner and waits until it works the batch. Returns the reply.
///
/// # Errors
/// The runner ended, or does not work the batch in time.
pub(in crate::work) fn start_detached(session: &Session, store: &Path, batch: &TaskId) -> Result<Value> {
    let row = batch_state(session, batch)?.row;
    let mut log = RunnerLog::open(session.folder(), batch)?;
    let log_start = log.length();
    let mut runner = spawn_runner(store, session.folder(), batch, &[])?;
    let pid = runner.id();
    let give_up_at = Instant::now() + START_TIMEOUT;
    loop {
        if find_runner(session, row)?.is_some_and(|recorded| recorded.pid == pid) {
            let message = format!("Process {pid} works on batch {batch} in the background");
            return Ok(json!({ "success": true, "message": message, "pid": pid }));
        }
        let exit = runner
            .try_wait()
            .map_err(|error| Error::internal("the state of a runner cannot be read", error))?;
        if exit.is_some() || Instant::now() >= give_up_at {
            if let Some(place) = run_lock::find_holder(session, batch)? {
                let on_host = place.on_other_host();
                let message = format!("A background runner already works on batch {batch}{on_host}");
                let mut reply = json!({ "success": true, "message": message });
                if let RunnerPlace::Elsewhere(host) = place {
                    reply["host"] = host.into();
                }
                return Ok(reply);
            }
            if exit.is_some_and(|status| status.success()) {
                // The runner finished the batch before we read its record.
                let message =
                    format!("Process {pid} worked on batch {batch} in the background and has ended");
                return Ok(json!({ "success": true, "message": message, "pid": pid }));
            }
            let state =
                exit.map_or("does not work it yet".to_owned(), |status| format!("ended with {status}"));
            let (why, path) = (log.last_line(log_start), log.path.display());
            return Err(Error::new(
                Code::Internal,
                format!("the runner of batch {batch} {state}: {why} (more in {path})"),
            ));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
