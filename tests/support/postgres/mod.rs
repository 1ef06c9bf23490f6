//! A PostgreSQL cluster for the tests, deleted when the test process ends.
//!
//! It listens on a Unix socket in its own folder only. [`Cluster::shared`] is one for all tests of a process, with fast
//! settings; [`Cluster::durable`] belongs to one test, which may kill it and start it again.

mod database;
mod files;
mod installation;
mod network;
mod standby;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

pub(crate) use database::Database;
use installation::Installation;

use super::skip::skip;
use super::sql::message;
use super::{eventually, send_signal, wait_for_exit};

/// The role that owns the databases of the tests.
const ROLE: &str = "tasktally";

/// The superuser.
const SUPERUSER: &str = "postgres";

/// Settings of every cluster. The kinds of shared memory leave nothing outside of the folder when a cluster is killed.
const SETTINGS: [&str; 6] = [
    "listen_addresses=",
    "max_connections=300",
    "shared_buffers=32MB",
    "shared_memory_type=mmap",
    "dynamic_shared_memory_type=mmap",
    "log_line_prefix=%m %p %d ",
];

/// Nothing is lost if a process is killed, and everything if the machine loses power.
const FAST: [&str; 4] = ["fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"];

/// A running cluster, unless the test has killed it.
pub(crate) struct Cluster {
    installation: Installation,
    /// Holds the socket, the log and the data.
    folder: PathBuf,
    settings: Vec<String>,
    /// Whether all tests of the process use it. Its databases are dropped after each test.
    is_shared: bool,
    /// The network namespace of the server, if it has one of its own.
    namespace: Option<String>,
    postmaster: Mutex<Option<Child>>,
    /// The process that ends the cluster. Its standard input is a pipe that the kernel closes when this process ends.
    watcher: Child,
    databases: AtomicU32,
}

impl Cluster {
    /// The cluster of this process, started by the first caller. None, and the running test is skipped, if PostgreSQL
    /// is not installed.
    #[track_caller]
    pub(crate) fn shared() -> Option<Arc<Cluster>> {
        static SHARED: OnceLock<Result<Arc<Cluster>, String>> = OnceLock::new();
        let start = || Ok(Arc::new(Self::start_new(Installation::find()?, &FAST, true, None)));
        found_or_skip(SHARED.get_or_init(start).clone())
    }

    /// A cluster of its own that keeps what it has acknowledged, as with PostgreSQL's default settings. None, and the
    /// running test is skipped, if PostgreSQL is not installed.
    #[track_caller]
    pub(crate) fn durable() -> Option<Arc<Cluster>> {
        Self::durable_with(&[])
    }

    /// The same with other settings.
    #[track_caller]
    pub(crate) fn durable_with(settings: &[&str]) -> Option<Arc<Cluster>> {
        let installation = found_or_skip(Installation::find())?;
        Some(Arc::new(Self::start_new(installation, settings, false, None)))
    }

    /// The same in a network namespace, where it can listen on an address of its own.
    #[track_caller]
    pub(crate) fn durable_in(namespace: &str, settings: &[&str]) -> Option<Arc<Cluster>> {
        let installation = found_or_skip(Installation::find())?;
        Some(Arc::new(Self::start_new(installation, settings, false, Some(namespace.to_owned()))))
    }

    fn start_new(
        installation: Installation,
        settings: &[&str],
        is_shared: bool,
        namespace: Option<String>,
    ) -> Self {
        // A socket's path has at most 107 bytes, so the name is short.
        let folder = TempDir::with_prefix("tt-pg-").expect("a temporary folder");
        installation.share_folder(folder.path());
        let mut watcher = Command::new("sh");
        watcher
            .args(["-c", include_str!("watcher.sh"), "sh"])
            .arg(folder.path())
            .args(installation.as_owner());
        // Ctrl-C must not end the watcher.
        watcher.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watcher = watcher.spawn().expect("`sh` runs");
        // From now on the watcher deletes the folder.
        let folder = folder.keep();
        installation.create_data(&folder);
        let cluster = Cluster {
            installation,
            folder,
            settings: SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect(),
            is_shared,
            namespace,
            postmaster: Mutex::new(None),
            watcher,
            databases: AtomicU32::new(0),
        };
        cluster.start();
        cluster
    }

    /// Starts the postmaster, again after [`Cluster::kill`], and waits until it accepts connections.
    pub(crate) fn start(&self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        let mut command = self.in_namespace(self.installation.command("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.folder);
        command.args(self.settings.iter().flat_map(|setting| ["-c", setting.as_str()]));
        // Ctrl-C must not end it before the test process.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let mut running = self.running();
        assert!(running.is_none(), "the cluster runs already");
        let postmaster = running.insert(command.spawn().expect("PostgreSQL starts"));
        eventually("PostgreSQL to accept connections", || {
            if let Some(status) = postmaster.try_wait().expect("a child can be waited for") {
                panic!("PostgreSQL ended with {status}:\n{}", self.log());
            }
            self.try_connect(SUPERUSER, SUPERUSER).ok()
        });
    }

    /// The command, in the network namespace of the server.
    fn in_namespace(&self, command: Command) -> Command {
        let Some(namespace) = &self.namespace else { return command };
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
        inside.current_dir("/");
        inside
    }

    /// Waits until the cluster accepts connections, after [`Cluster::kill_backend`].
    pub(crate) fn wait_until_ready(&self) {
        eventually("PostgreSQL to accept connections", || self.try_connect(SUPERUSER, SUPERUSER).ok());
    }

    /// Kills the postmaster with SIGKILL and waits until its backends have ended, too.
    pub(crate) fn kill(&self) {
        let processes = self.processes();
        let mut postmaster = self.running().take().expect("the cluster runs");
        postmaster.kill().expect("a child can be killed");
        wait_for_exit(&mut postmaster);
        // A paused backend cannot end.
        let left = processes.iter().filter(|pid| is_alive(**pid)).map(ToString::to_string);
        let _ = Command::new("kill").arg("-CONT").args(left).stderr(Stdio::null()).status();
        // PostgreSQL refuses to start while a process of the last one is left.
        eventually("the backends to end", || processes.iter().all(|pid| !is_alive(*pid)).then_some(()));
    }

    /// Kills one backend with SIGKILL and waits until the postmaster has ended all others. It then recovers:
    /// [`Cluster::wait_until_ready`].
    pub(crate) fn kill_backend(&self, backend: u32) {
        let children = self.processes().split_off(1);
        send_signal("KILL", backend);
        // Until then, the postmaster may still accept a connection, and reset it.
        eventually("all backends to end", || children.iter().all(|pid| !is_alive(*pid)).then_some(()));
    }

    /// Stops all processes (SIGSTOP), as a machine that does not answer.
    pub(crate) fn pause(&self) {
        self.processes().into_iter().for_each(|pid| send_signal("STOP", pid));
    }

    /// Continues all processes after [`Cluster::pause`].
    pub(crate) fn resume(&self) {
        self.processes().into_iter().rev().for_each(|pid| send_signal("CONT", pid));
    }

    /// The postmaster, and then the processes that it started.
    fn processes(&self) -> Vec<u32> {
        let postmaster = self.postmaster();
        let children =
            Command::new("pgrep").args(["-P", &postmaster.to_string()]).output().expect("`pgrep` runs");
        let children = String::from_utf8(children.stdout).expect("numbers");
        let children = children.lines().map(|pid| pid.parse().expect("a number"));
        [postmaster].into_iter().chain(children).collect()
    }

    /// The process id of the postmaster.
    pub(crate) fn postmaster(&self) -> u32 {
        self.running().as_ref().expect("the cluster runs").id()
    }

    /// All settings, as the running cluster has them (`pg_settings`).
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let rows = self.superuser(SUPERUSER).query("SELECT name, setting FROM pg_settings", &[]);
        rows.expect("the settings").iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// A new empty database, owned by the role `tasktally`.
    pub(crate) fn create_database(self: &Arc<Self>) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed) + 1);
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 OWNER {ROLE}");
        self.superuser(SUPERUSER).batch_execute(&create).expect("a database can be created");
        Database::new(self.clone(), name)
    }

    /// The names of all databases.
    pub(crate) fn databases(&self) -> Vec<String> {
        let names = self.superuser(SUPERUSER).query("SELECT datname FROM pg_database", &[]);
        names.expect("the databases").iter().map(|row| row.get(0)).collect()
    }

    /// A connection as superuser.
    #[track_caller]
    fn superuser(&self, database: &str) -> Client {
        self.connect(SUPERUSER, database)
    }

    #[track_caller]
    fn connect(&self, role: &str, database: &str) -> Client {
        self.try_connect(role, database).unwrap_or_else(|error| panic!("{database}: {}", message(error)))
    }

    fn try_connect(&self, role: &str, database: &str) -> Result<Client, postgres::Error> {
        Config::new().host_path(&self.folder).user(role).dbname(database).connect(NoTls)
    }

    /// The folder with the socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything that PostgreSQL logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.postmaster.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // This closes its standard input. The watcher then ends the cluster.
        let _ = self.watcher.wait();
        if let Some(mut postmaster) = self.running().take() {
            let _ = postmaster.wait();
        }
    }
}

/// None, and the running test is skipped, if something is missing.
#[track_caller]
fn found_or_skip<T>(found: Result<T, String>) -> Option<T> {
    found.inspect_err(|missing| skip(missing)).ok()
}

/// Whether a process exists.
pub(crate) fn is_alive(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process id");
    rustix::process::test_kill_process(pid).is_ok()
}
