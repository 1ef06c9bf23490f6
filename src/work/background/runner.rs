//! A runner: works one batch by a profile until it has ended, and is taken over where it dies.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::fair_share::Turns;
use super::standby::Standby;
use super::start_limits::Starts;
use crate::config::{Config, Limits, Profile};
use crate::error::{Code, Error, Result};
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::limits::MaxParallel;
use crate::model::task::Row;
use crate::model::text::Line;
use crate::ops::{
    BatchState, ClaimTask, Session, batch_state, find_runner, pause_profile, record_runner_heartbeat,
    register_runner, release_runner_claims, unregister_runner,
};
use crate::work::claim_heartbeat::ClaimHeartbeat;
use crate::work::command_spec::Method;
use crate::work::interrupt::Stop;
use crate::work::per_chunk::remove_jobs;
use crate::work::progress::Progress;
use crate::work::runner_lock;
use crate::work::supervisor::{ChildRegistry, end_strays};
use crate::work::worker_pool::WorkerPool;

/// How often a runner gives a sign of life.
const PULSE: Duration = Duration::from_secs(5);
/// How long it rests after a failure that may pass: twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How often it looks whether there is something to do.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How a runner is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum How {
    /// By a person, in a terminal.
    InFront,
    /// Detached.
    Behind,
    /// Detached, and only once the one at work has ended.
    StandingBy,
}

/// Works a batch until it has ended; gives the exit code.
///
/// # Errors
/// What keeps it from starting or going on.
pub(in crate::work) fn runner(
    session: &Session,
    store: &Path,
    batch: &TaskId,
    how: How,
    progress: &Progress,
) -> Result<u8> {
    let stop = Stop::on_signals()?;
    if how != How::InFront {
        // A session of its own: what ends the one that asked for it does not end it.
        if let Err(error) = rustix::process::setsid() {
            tracing::debug!(%error, "the runner leads its session already");
        }
        std::env::set_current_dir(session.folder())
            .map_err(|error| Error::internal("the data folder cannot be entered", error))?;
    }
    // Held while the batch is worked, and until this process ends, however it ends.
    let mut lock = match how {
        How::StandingBy => runner_lock::wait(session.folder(), batch)?,
        How::InFront | How::Behind => runner_lock::take(session.folder(), batch)?,
    };
    let family = ChildRegistry::found()?;
    let standby = Standby::new(session, store, batch, &family, how);
    let runner = Runner { session, store, batch, how, progress, stop: &stop, standby: &standby };
    let mut rest = FIRST_REST;
    loop {
        let began = Instant::now();
        match runner.hold() {
            Ok(look) => {
                standby.end();
                // Whoever opened the batch again while the lock was held took it to be worked.
                drop(lock);
                let now = batch_state(session, batch)?;
                if how == How::InFront || stop.is_asked() || is_over(&now) {
                    return Ok(code(&look));
                }
                lock = match runner_lock::take(session.folder(), batch) {
                    Ok(lock) => lock,
                    Err(error) if error.code == Code::AlreadyClaimed => return Ok(code(&look)),
                    Err(error) => return Err(error),
                };
            }
            // What a full disk or a busy store keeps from being done now may be done later; a store that was
            // removed with its folder is worked by nobody.
            Err(error) if how != How::InFront && !stop.is_asked() && may_pass(&error) && lock.is_kept() => {
                if began.elapsed() > LONGEST_REST {
                    rest = FIRST_REST;
                }
                progress.say(&format!("{error}; tried again in {} s", rest.as_secs()));
                std::thread::sleep(rest);
                rest = (rest * 2).min(LONGEST_REST);
            }
            Err(error) => {
                standby.end();
                return Err(error);
            }
        }
    }
}

/// Whether a failure is the machine's, not the request's.
fn may_pass(error: &Error) -> bool {
    matches!(error.code, Code::Internal | Code::Busy | Code::ReadOnly)
}

/// A process that works a batch.
struct Runner<'a> {
    session: &'a Session,
    store: &'a Path,
    batch: &'a TaskId,
    how: How,
    progress: &'a Progress,
    stop: &'a Stop,
    standby: &'a Standby<'a>,
}

/// How a shift ended.
enum Ended {
    /// The batch has ended, or somebody stopped the runner.
    Over(BatchState),
    /// The profile is to be read anew.
    Changed,
}

impl Runner<'_> {
    /// Works the batch while its lock is held.
    fn hold(&self) -> Result<BatchState> {
        let look = batch_state(self.session, self.batch)?;
        // Before anything else: whoever kills this process now leaves somebody to take over.
        if !is_over(&look) {
            self.standby.see_to_it();
        }
        // Also where nothing is left to work, or nothing may be started.
        end_earlier(self.session, self.batch, look.row, self.progress)?;
        if is_over(&look) { Ok(look) } else { self.shifts() }
    }

    /// Works by the batch's profile, read anew whenever it was paused or another was named.
    fn shifts(&self) -> Result<BatchState> {
        let Runner { session, store, batch, how, progress, stop, standby } = *self;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut is_first = true;
        loop {
            let look = batch_state(session, batch)?;
            let name = look.worker.clone().ok_or_else(|| {
                Error::invalid(format!(
                    "worker: batch {batch} has no profile; --worker names one, tasktally config lists them; or give a command after --"
                ))
            })?;
            let (profile, limits) = match profile(&name, &look) {
                Ok(found) => found,
                Err(error) if is_first => return Err(error),
                Err(error) => {
                    pause_profile(session, batch, &name, &error.to_string())?;
                    match wait_for_change(session, batch, &name, stop)? {
                        Ended::Over(look) => return Ok(look),
                        Ended::Changed => continue,
                    }
                }
            };
            is_first = false;
            let mark = register_runner(session, look.row, &name, std::process::id(), &host)?;
            let most = profile.max_parallel.min(usize::try_from(look.max_parallel).unwrap_or(usize::MAX));
            let starts = Starts::new(session, batch, &profile, &limits);
            let turns = Turns::new(session, look.row, limits.max_parallel as u64);
            let method = Method::of_profile(profile.clone(), batch, look.project, session.folder());
            let crew = WorkerPool {
                session,
                store,
                method: &method,
                progress,
                stop,
                family: standby.family.clone().marked(&mark),
                in_hand: ClaimHeartbeat::default(),
                background: Some((&turns, &starts)),
            };
            let ended =
                with_pulse(session, look.row, &starts, standby, || go_on(&crew, batch, how, most, &name));
            // Nothing is left, but perhaps of a keeper that was killed.
            end_strays(&mark);
            let recorded = unregister_runner(session, look.row, &mark);
            if let Ended::Over(look) = ended.and_then(|ended| recorded.map(|()| ended))? {
                return Ok(look);
            }
        }
    }
}

/// The profile of a name as the configuration has it now, for a batch, and the limits beside it.
fn profile(name: &str, look: &BatchState) -> Result<(Profile, Limits)> {
    let config = Config::load(&[])?;
    let profile = config.profile(name)?.clone();
    profile.takes_project(look.project.as_deref())?;
    Ok((profile, config.limits().clone()))
}

/// Waits until a paused batch goes on, or another profile is named for it.
fn wait_for_change(session: &Session, batch: &TaskId, name: &str, stop: &Stop) -> Result<Ended> {
    loop {
        let look = batch_state(session, batch)?;
        if stop.is_asked() || is_over(&look) {
            return Ok(Ended::Over(look));
        }
        if look.status != BatchStatus::Paused || look.worker.as_deref() != Some(name) {
            return Ok(Ended::Changed);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Ends what an earlier runner of the batch left when it died, and takes back what it held.
pub(in crate::work) fn end_earlier(
    session: &Session,
    batch: &TaskId,
    row: Row,
    progress: &Progress,
) -> Result<()> {
    if let Some(earlier) = find_runner(session, row)? {
        let ended = end_strays(&earlier.nonce);
        if ended > 0 {
            progress.say(&format!("Ended {ended} processes that an earlier runner left behind"));
        }
        // Only now: this one may die, too, and would leave them to the next.
        unregister_runner(session, row, &earlier.nonce)?;
    }
    release_runner_claims(session, batch)?;
    remove_jobs(session.folder(), batch)
}

/// Works whatever can be worked until the batch has ended, or the profile is to be read anew.
fn go_on(crew: &WorkerPool<'_>, batch: &TaskId, how: How, most: usize, name: &str) -> Result<Ended> {
    let claim = ClaimTask::of_batch(Line::known("runner"), batch.clone(), !crew.method.is_per_chunk());
    let worker = format!("runner-{}", std::process::id());
    let slots = MaxParallel::of(i64::try_from(most).unwrap_or(i64::MAX));
    loop {
        let look = batch_state(crew.session, batch)?;
        // Whoever watches is told, and comes back; nobody watches a runner that is detached.
        let waits = matches!(look.status, BatchStatus::Paused | BatchStatus::Waiting);
        if crew.stop.is_asked() || is_over(&look) || (waits && how == How::InFront) {
            return Ok(Ended::Over(look));
        }
        if look.status == BatchStatus::Paused || look.worker.as_deref() != Some(name) {
            return wait_for_change(crew.session, batch, name, crew.stop);
        }
        if look.status == BatchStatus::Running
            && look.is_claimable
            && let Some((turns, starts)) = crew.background
        {
            let worked = crew.work(&claim, &worker, slots);
            turns.none_waits()?;
            match worked {
                Ok(_) => {}
                Err(error) if crew.stop.is_asked() || may_pass(&error) => return Err(error),
                // Somebody has to see to it; all that was written stays.
                Err(error) => starts.pause(&error.to_string())?,
            }
            if starts.has_paused() {
                return wait_for_change(crew.session, batch, name, crew.stop);
            }
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Gives signs of life while something is done.
fn with_pulse<T>(
    session: &Session,
    batch: Row,
    starts: &Starts<'_>,
    standby: &Standby<'_>,
    work: impl FnOnce() -> T,
) -> T {
    let (over, ended) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || pulse(session, batch, starts, standby, &ended));
        let done = work();
        drop(over);
        done
    })
}

fn pulse(session: &Session, batch: Row, starts: &Starts<'_>, standby: &Standby<'_>, ended: &Receiver<()>) {
    let mut said = None;
    let mut quiet = Duration::ZERO;
    while ended.recv_timeout(LOOK_AGAIN) == Err(RecvTimeoutError::Timeout) {
        quiet += LOOK_AGAIN;
        let note = starts.waits_for();
        if quiet < PULSE && note == said {
            continue;
        }
        standby.see_to_it();
        quiet = Duration::ZERO;
        said.clone_from(&note);
        if let Err(error) = record_runner_heartbeat(session, batch, note) {
            tracing::warn!(%error, "the runner's sign of life cannot be written");
        }
    }
}

fn is_over(look: &BatchState) -> bool {
    matches!(look.status, BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled)
}

fn code(look: &BatchState) -> u8 {
    u8::from(look.status != BatchStatus::Done)
}
