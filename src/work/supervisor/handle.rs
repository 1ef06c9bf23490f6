//! The runner's end of a keeper.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, getpid, waitpid};

use super::messages::{CommandSpec, Launch, Order, Report};
use super::process_tree;
use crate::error::{Code, Error, Result};

/// The variable that marks all that a runner starts, in its environment.
pub(crate) const MARK: &str = "TASKTALLY_RUNNER";
/// How long ending a tree may take beyond its grace.
const BEYOND_GRACE: Duration = Duration::from_secs(6);
/// How long what was killed may take to go away.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// This very program, also where its file was replaced by a newer one.
pub(crate) fn this_program() -> Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { this_program_by_name() }
}

/// The file of this program, for others to start. Where an upgrade has put a newer one in its place, that.
///
/// # Errors
/// Where the system does not tell.
pub(crate) fn this_program_by_name() -> Result<std::path::PathBuf> {
    let path = std::env::current_exe()
        .map_err(|error| Error::internal("tasktally does not find its own program", error))?;
    // What Linux puts behind the name of a file that is gone.
    let replaced =
        path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(std::path::PathBuf::from);
    Ok(replaced.filter(|path| path.exists()).unwrap_or(path))
}

/// The processes that this one started itself. All other children of it are what keepers that were
/// killed had kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChildRegistry {
    known: Arc<Mutex<HashSet<u32>>>,
    /// What marks it, where a successor may have to look for it.
    mark: Option<String>,
}

impl ChildRegistry {
    /// Lets this process become the parent of what its keepers leave behind when they are killed.
    ///
    /// # Errors
    /// Where the system refuses it.
    pub(crate) fn found() -> Result<Self> {
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(getpid()))
            .map_err(|error| Error::internal("a runner cannot become a subreaper", error))?;
        Ok(ChildRegistry::default())
    }

    /// The same, marked.
    #[must_use]
    pub(crate) fn marked(self, mark: &str) -> Self {
        ChildRegistry { mark: Some(mark.to_owned()), ..self }
    }

    /// What marks it.
    pub(crate) fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    fn known(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process that is this one's own.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn start(&self, start: impl FnOnce() -> Result<Child>) -> Result<Child> {
        // Known before anybody looks for orphans.
        let mut known = self.known();
        let child = start()?;
        known.insert(child.id());
        Ok(child)
    }

    /// Knows a process no longer that has ended.
    pub(crate) fn forget(&self, child: &Child) {
        self.known().remove(&child.id());
    }

    /// Does something that starts and ends processes of its own, which are nobody's orphans.
    pub(crate) fn meanwhile<T>(&self, run: impl FnOnce() -> T) -> T {
        let _known = self.known();
        run()
    }

    /// Ends what keepers that were killed have left to this process.
    pub(crate) fn end_orphans(&self) {
        let known = self.known();
        let give_up = Instant::now() + GONE_AFTER;
        loop {
            let orphans = process_tree::children_but(getpid(), &known);
            if orphans.is_empty() || Instant::now() >= give_up {
                return;
            }
            for orphan in orphans {
                process_tree::kill_with(&orphan);
                // Whatever it ended with is of no interest.
                waitpid(Some(orphan.pid()), WaitOptions::NOHANG).ok();
            }
            sleep(LOOK_AGAIN);
        }
    }
}

/// Ends what an earlier runner has left behind: everything whose environment holds its mark, or whose
/// control group is named after the mark.
pub(crate) fn end_strays(mark: &str) -> usize {
    let line = format!("{MARK}={mark}");
    let (mut ended, give_up) = (0, Instant::now() + GONE_AFTER);
    loop {
        let strays = process_tree::marked(&line);
        #[cfg(target_os = "linux")]
        let others = super::cgroup::kill(mark);
        #[cfg(not(target_os = "linux"))]
        let others = 0;
        ended += others;
        if (strays.is_empty() && others == 0) || Instant::now() >= give_up {
            return ended;
        }
        for stray in &strays {
            process_tree::kill_with(stray);
        }
        ended += strays.len();
        sleep(LOOK_AGAIN);
    }
}

/// Ends the worker of a keeper, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Ender {
    orders: Arc<Mutex<Option<ChildStdin>>>,
}

impl Ender {
    fn send(&self, order: &Order) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        match self.orders.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(orders) => orders.write_all(&line),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Asks for the end of the worker that runs, if one does.
    pub(crate) fn end(&self) {
        // A keeper that is gone has nothing to end.
        self.send(&Order::End).ok();
    }

    fn close(&self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A keeper's process. Dropping it ends its worker.
#[derive(Debug)]
pub(crate) struct SupervisorHandle {
    family: ChildRegistry,
    child: Child,
    orders: Ender,
    reports: BufReader<ChildStdout>,
    patience: Duration,
}

impl SupervisorHandle {
    /// Starts a keeper.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn start(family: &ChildRegistry) -> Result<Self> {
        let mut command = Command::new(this_program()?);
        // A group of its own: Ctrl-C in the terminal is the runner's to handle.
        command
            .arg("keeper")
            .args(&family.mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let cannot = |error| Error::internal("a keeper cannot be started", error);
        let mut child = family.start(|| command.spawn().map_err(cannot))?;
        let Some((orders, reports)) = child.stdin.take().zip(child.stdout.take()) else {
            child.kill().map_err(cannot)?;
            return Err(Error::new(Code::Internal, "a keeper was started without its pipes"));
        };
        let orders = Ender { orders: Arc::new(Mutex::new(Some(orders))) };
        let reports = BufReader::new(reports);
        Ok(SupervisorHandle { family: family.clone(), child, orders, reports, patience: BEYOND_GRACE })
    }

    /// Says how workers are run from now on.
    ///
    /// # Errors
    /// Where the keeper was ended.
    pub(crate) fn take(&mut self, trade: CommandSpec) -> Result<()> {
        self.patience = trade.grace.saturating_add(BEYOND_GRACE);
        self.orders.send(&Order::Take(trade)).map_err(|error| self.gone(error))
    }

    fn gone(&self, error: std::io::Error) -> Error {
        self.family.end_orphans();
        Error::internal("the keeper of a worker was ended, and the worker with it", error)
    }

    /// What ends its worker from another thread.
    pub(crate) fn ender(&self) -> Ender {
        self.orders.clone()
    }

    /// Runs a worker until nothing of its tree is left.
    ///
    /// # Errors
    /// Where the keeper itself was ended: whatever it kept is ended, too.
    pub(crate) fn run(&mut self, launch: Launch) -> Result<Report> {
        let mut line = String::new();
        let report = self
            .orders
            .send(&Order::Run(launch))
            .and_then(|()| self.reports.read_line(&mut line))
            .and_then(|_| serde_json::from_str(&line).map_err(std::io::Error::from));
        report.map_err(|error| self.gone(error))
    }
}

impl Drop for SupervisorHandle {
    fn drop(&mut self) {
        self.orders.close();
        let give_up = Instant::now() + self.patience;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= give_up {
                tracing::warn!(keeper = self.child.id(), "a keeper does not end and is killed");
                self.child.kill().ok();
                self.child.wait().ok();
                break;
            }
            sleep(LOOK_AGAIN);
        }
        self.family.forget(&self.child);
        self.family.end_orphans();
        #[cfg(target_os = "linux")]
        self.family.mark.iter().for_each(|mark| super::cgroup::leave(mark, self.child.id()));
    }
}
