//! The heartbeat of a background runner: records that the runner lives and what it waits for, and keeps the standby
//! runner running.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::Duration;

use super::standby_runner::StandbyRunner;
use crate::model::task::RowId;
use crate::ops::{Session, record_runner_heartbeat};

/// How often the heartbeat is written.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// How often a change of what the runner waits for is looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Runs `work` with a heartbeat beside it. `waits_for` returns what the runner waits for, for `get_batch`.
pub(super) fn with_heartbeat<T>(
    session: &Session,
    batch: RowId,
    waits_for: &(dyn Fn() -> Option<String> + Sync),
    standby: &StandbyRunner<'_>,
    work: impl FnOnce() -> T,
) -> T {
    let (working, work_ended) = channel::<()>();
    std::thread::scope(|scope| {
        let heartbeat = Builder::new().name("heartbeat".into());
        if let Err(error) =
            heartbeat.spawn_scoped(scope, move || beat(session, batch, waits_for, standby, &work_ended))
        {
            tracing::warn!(%error, "the runner works without a heartbeat");
        }
        let result = work();
        drop(working);
        result
    })
}

fn beat(
    session: &Session,
    batch: RowId,
    waits_for: &(dyn Fn() -> Option<String> + Sync),
    standby: &StandbyRunner<'_>,
    work_ended: &Receiver<()>,
) {
    let mut recorded = None;
    let mut since_heartbeat = Duration::ZERO;
    while work_ended.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        since_heartbeat += CHECK_INTERVAL;
        let reason = waits_for();
        if since_heartbeat < HEARTBEAT_INTERVAL && reason == recorded {
            continue;
        }
        standby.ensure_running();
        since_heartbeat = Duration::ZERO;
        recorded.clone_from(&reason);
        if let Err(error) = record_runner_heartbeat(session, batch, reason) {
            tracing::warn!(%error, "the heartbeat of the runner cannot be written");
        }
    }
}
