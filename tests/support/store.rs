//! A store for each test.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::cli::Run;
use super::postgres::{Cluster, Database};
use super::server::Server;
use super::sql::Sql;

/// A temporary folder and a store: a file inside it, or a PostgreSQL database. Both are deleted after the test.
pub(crate) struct Store {
    folder: TempDir,
    place: Place,
    /// The operator's folder with the configuration: outside the temporary folder, to which agents write.
    operator: Option<TempDir>,
}

/// Where a store is.
enum Place {
    File(PathBuf),
    Database(Database),
}

impl Store {
    /// An empty folder and a store of the kind that `TASKTALLY_TEST_STORE` names: `sqlite` (the default) or `postgres`.
    /// The first `tasktally` command creates its tables.
    pub(crate) fn new() -> Self {
        match std::env::var("TASKTALLY_TEST_STORE").as_deref() {
            Err(std::env::VarError::NotPresent) | Ok("sqlite") => Self::new_sqlite(),
            Ok("postgres") => Self::new_postgres().expect("PostgreSQL is installed"),
            other => panic!("TASKTALLY_TEST_STORE is {other:?}, allowed: sqlite, postgres"),
        }
    }

    /// The same with a SQLite file, for tests of the file or of what only SQLite does.
    pub(crate) fn new_sqlite() -> Self {
        let folder = new_folder();
        let file = folder.path().join("store").join("tasktally.db");
        Store { folder, place: Place::File(file), operator: None }
    }

    /// The same with a database of the shared PostgreSQL cluster. None, and the running test is skipped, if PostgreSQL is
    /// not installed.
    #[track_caller]
    pub(crate) fn new_postgres() -> Option<Self> {
        Some(Self::in_database(Cluster::shared()?.create_database()))
    }

    /// The same with this database.
    pub(crate) fn in_database(database: Database) -> Self {
        Store { folder: new_folder(), place: Place::Database(database), operator: None }
    }

    /// Adds an operator's configuration: a file with mode 0600.
    pub(crate) fn with_config(self, text: &str) -> Self {
        self.with_config_and_program(|_| text.to_owned())
    }

    /// Adds an operator's configuration that may name programs in the operator's folder.
    pub(crate) fn with_config_and_program(self, text: impl FnOnce(&Path) -> String) -> Self {
        // A server refuses a configuration in a folder for temporary files.
        let home = std::env::home_dir().expect("a home folder").join(".cache/tasktally-tests");
        std::fs::create_dir_all(&home).expect("a folder for configurations");
        self.with_config_in(TempDir::new_in(home).expect("a folder for a configuration"), text)
    }

    /// Adds a configuration that every user of the machine can reach. Only a person's commands accept its place.
    pub(crate) fn with_reachable_config(self, text: &str) -> Self {
        let folder = TempDir::with_prefix("tasktally-config-").expect("a temporary folder");
        self.with_config_in(folder, |_| text.to_owned())
    }

    fn with_config_in(mut self, folder: TempDir, text: impl FnOnce(&Path) -> String) -> Self {
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text(folder.path())).expect("a configuration can be written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode can be set");
        self.operator = Some(folder);
        self
    }

    /// The path of the configuration. The file exists only if the test wrote one.
    pub(crate) fn config(&self) -> PathBuf {
        match &self.operator {
            Some(folder) => folder.path().join("config.toml"),
            None => self.folder().join("no-config.toml"),
        }
    }

    /// Puts the store's file at this path inside the temporary folder.
    pub(crate) fn at(mut self, relative: &str) -> Self {
        assert!(self.is_sqlite(), "a test of a file uses Store::new_sqlite");
        self.place = Place::File(self.folder.path().join(relative));
        self
    }

    /// Whether the store is a SQLite file.
    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// The store's SQLite file.
    #[track_caller]
    pub(crate) fn file(&self) -> &Path {
        match &self.place {
            Place::File(file) => file,
            Place::Database(_) => panic!("a test of a file uses Store::new_sqlite"),
        }
    }

    /// The store's PostgreSQL database.
    #[track_caller]
    pub(crate) fn database(&self) -> &Database {
        match &self.place {
            Place::File(_) => panic!("a test of a database uses Store::new_postgres"),
            Place::Database(database) => database,
        }
    }

    /// The store as `--db` and TASKTALLY_DB name it: a path or a URL.
    pub(crate) fn url(&self) -> &str {
        match &self.place {
            Place::File(file) => file.to_str().expect("a path of UTF-8"),
            Place::Database(database) => database.url(),
        }
    }

    /// The folder in which `tasktally` keeps locks, logs and the files of workers of this store.
    pub(crate) fn data_folder(&self) -> PathBuf {
        match &self.place {
            Place::File(file) => file.parent().expect("a folder").to_owned(),
            Place::Database(_) => {
                let databases = self.home().join(".local/share/tasktally/databases");
                let only = || std::fs::read_dir(&databases).ok()?.next()?.ok().map(|folder| folder.path());
                only().unwrap_or_else(|| {
                    self.create();
                    only().expect("the folder of the database")
                })
            }
        }
    }

    /// The temporary folder. It is the working directory of every command, so item files belong in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The home folder of every command: not the working directory, from which a server reads items.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder().join("home")
    }

    /// Writes a file into the temporary folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// A `tasktally` command for this store that does not use the machine's configuration.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tasktally"));
        command
            .current_dir(self.folder())
            .env("TASKTALLY_DB", self.url())
            .env("TASKTALLY_CONFIG", self.config())
            .env("SCRATCHPAD", self.folder().join("scratch"))
            .env("HOME", self.home())
            .stdin(Stdio::null());
        command
    }

    /// A `tasktally` command with arguments, ready to run.
    pub(crate) fn tasktally<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run::new(self.command(), args)
    }

    /// Creates the store, without tasks.
    pub(crate) fn create(&self) {
        // The server opens the store, and ends because its standard input is empty.
        self.tasktally(["serve"]).success();
    }

    /// A server process after the handshake.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// A server process with arguments, after the handshake.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        let mut server = self.server(args);
        server.start_reading();
        server.initialize("2025-11-25");
        server
    }

    /// A server process before the handshake, whose stdout is not read yet.
    pub(crate) fn server(&self, args: &[&str]) -> Server {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder().join("server.log"))
            .expect("a log file for stderr");
        let mut command = self.command();
        command.arg("serve").args(args).stderr(log);
        Server::spawn(command)
    }

    /// Everything the servers logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("server.log")).unwrap_or_default()
    }

    /// A plain connection to the store.
    #[track_caller]
    pub(crate) fn sql(&self) -> Sql {
        match &self.place {
            Place::File(_) => Sql::Sqlite(self.sqlite()),
            Place::Database(database) => database.sql(),
        }
    }

    /// A plain SQLite connection to the store's file, for what only SQLite has.
    #[track_caller]
    pub(crate) fn sqlite(&self) -> Connection {
        let connection = Connection::open(self.file()).expect("SQLite opens the store");
        connection.busy_timeout(Duration::from_secs(20)).expect("a busy timeout");
        connection
    }

    /// Changes the store as its owner can: without the triggers that forbid it.
    pub(crate) fn forge(&self, change: impl FnOnce(&Sql)) {
        match &self.place {
            Place::File(_) => forge_file(self.sqlite(), change),
            Place::Database(database) => change(&database.sql_without_triggers()),
        }
    }

    /// Lets the lease of a task expire now, so that a test need not wait for its end.
    pub(crate) fn expire_claim(&self, task: &str) {
        let changed = self.sql().execute("UPDATE task SET expires_at = claimed_at WHERE id = ?1", &[&task]);
        assert_eq!(changed.expect("the claim can be changed"), 1, "no task {task}");
    }

    /// Ends the leases of killed processes now. The kernel releases the lock files of a SQLite store by itself.
    pub(crate) fn end_leases(&self) {
        if !self.is_sqlite() {
            // A moment ago: leases that ended long ago are deleted.
            let end = "UPDATE lease SET expires_at = floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - 1";
            self.sql().execute(end, &[]).expect("the leases can be changed");
        }
    }

    /// Ends the backoffs of released tasks now, so that a test need not wait for them, and returns how many there were.
    pub(crate) fn clear_backoffs(&self) -> u64 {
        let clear = "UPDATE task SET blocker_count = blocker_count - 1, hold_count = hold_count - 1, held_until = NULL
            WHERE held_until IS NOT NULL";
        self.sql().execute(clear, &[]).expect("the tasks can be changed")
    }

    /// Asserts that SQLite's integrity check finds no error, or that PostgreSQL reads every task.
    pub(crate) fn assert_whole(&self) {
        match &self.place {
            Place::File(_) => {
                assert_eq!(self.sql().row::<String>("PRAGMA integrity_check", &[]), "ok");
            }
            Place::Database(database) => {
                let read = database.sql().rows::<u64>("SELECT count(*) FROM task", &[]);
                assert_eq!(read.len(), 1);
            }
        }
    }
}

/// A temporary folder with a home folder.
fn new_folder() -> TempDir {
    let folder = TempDir::with_prefix("tasktally-test-").expect("a temporary folder");
    std::fs::create_dir(folder.path().join("home")).expect("a home folder");
    folder
}

/// Changes a SQLite file without its triggers, which are restored afterwards.
fn forge_file(connection: Connection, change: impl FnOnce(&Sql)) {
    let sql = Sql::Sqlite(connection);
    let triggers: Vec<(String, String)> =
        sql.rows("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'", &[]);
    assert!(!triggers.is_empty());
    for (name, _) in &triggers {
        sql.execute_all(&format!("DROP TRIGGER {name}")).expect("a trigger can be dropped");
    }
    sql.execute_all("PRAGMA foreign_keys = OFF").expect("a setting of the connection");
    change(&sql);
    for (_, trigger) in &triggers {
        sql.execute_all(trigger).expect("a trigger can be restored");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A failed test must not leave a runner behind.
        if self.operator.is_some() {
            let path = self.folder.path().to_string_lossy().into_owned();
            let _ = Command::new("pkill").args(["-KILL", "-f", &path]).status();
        }
    }
}
