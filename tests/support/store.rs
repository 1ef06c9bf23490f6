//! A store for each test.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::cli::Run;
use super::server::Server;

/// A temporary folder and the path of a store inside it. Both are deleted after the test.
pub(crate) struct Store {
    folder: TempDir,
    file: PathBuf,
    /// The operator's folder with the configuration: outside the temporary folder, to which agents write.
    operator: Option<TempDir>,
}

impl Store {
    /// An empty folder. The first `tasktally` command creates the store.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("tasktally-test-").expect("a temporary folder");
        let file = folder.path().join("store").join("tasktally.db");
        std::fs::create_dir(folder.path().join("home")).expect("a home folder");
        Store { folder, file, operator: None }
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

    /// Puts the store at this path inside the temporary folder.
    pub(crate) fn at(mut self, relative: &str) -> Self {
        self.file = self.folder.path().join(relative);
        self
    }

    /// The store's file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
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
            .env("TASKTALLY_DB", &self.file)
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

    /// A plain SQLite connection to the store.
    pub(crate) fn sql(&self) -> Connection {
        let connection = Connection::open(&self.file).expect("SQLite opens the store");
        connection.busy_timeout(Duration::from_secs(20)).expect("a busy timeout");
        connection
    }

    /// Changes the file as its owner can: without the triggers that forbid it, which are restored afterwards.
    pub(crate) fn forge(&self, change: impl FnOnce(&Connection)) {
        let connection = self.sql();
        let triggers: Vec<(String, String)> = connection
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
            .and_then(|mut triggers| triggers.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .expect("the triggers can be listed");
        assert!(!triggers.is_empty());
        for (name, _) in &triggers {
            connection.execute_batch(&format!("DROP TRIGGER {name}")).expect("a trigger can be dropped");
        }
        connection.execute_batch("PRAGMA foreign_keys = OFF").expect("a setting of the connection");
        change(&connection);
        for (_, sql) in &triggers {
            connection.execute_batch(sql).expect("a trigger can be restored");
        }
    }

    /// Lets the lease of a task expire now, so that a test need not wait for its end.
    pub(crate) fn expire_claim(&self, task: &str) {
        let changed = self.sql().execute("UPDATE task SET expires_at = claimed_at WHERE id = ?1", [task]);
        assert_eq!(changed.expect("the claim can be changed"), 1, "no task {task}");
    }

    /// Ends the backoffs of released tasks now, so that a test need not wait for them, and returns how many there were.
    pub(crate) fn clear_backoffs(&self) -> usize {
        let clear = "UPDATE task SET blocker_count = blocker_count - 1, hold_count = hold_count - 1, held_until = NULL
            WHERE held_until IS NOT NULL";
        self.sql().execute(clear, []).expect("the tasks can be changed")
    }

    /// Asserts that SQLite's integrity check finds no error.
    pub(crate) fn assert_whole(&self) {
        let answer: String =
            self.sql().query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an integrity check");
        assert_eq!(answer, "ok");
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
