//! A store of its own for every test.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::cli::Run;
use super::server::Server;

/// A temporary folder with the path of a store in it; gone with the test.
pub(crate) struct Store {
    folder: TempDir,
    file: PathBuf,
    config: Option<TempDir>,
}

impl Store {
    /// An empty folder; the first `tasktally` that runs over it makes the store.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("tasktally-test-").expect("a temporary folder");
        let file = folder.path().join("store").join("tasktally.db");
        Store { folder, file, config: None }
    }

    /// With the operator's configuration: a file that is the operator's alone, outside of every project.
    pub(crate) fn with_config(mut self, text: &str) -> Self {
        let folder = TempDir::with_prefix("tasktally-config-").expect("a temporary folder");
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).expect("a configuration can be written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode can be set");
        self.config = Some(folder);
        self
    }

    /// The configuration's file; there is none unless a test wrote one.
    pub(crate) fn config(&self) -> PathBuf {
        match &self.config {
            Some(folder) => folder.path().join("config.toml"),
            None => self.folder().join("no-config.toml"),
        }
    }

    /// A folder of the caller's choosing inside the temporary one holds the file.
    pub(crate) fn at(mut self, relative: &str) -> Self {
        self.file = self.folder.path().join(relative);
        self
    }

    /// The store's file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The temporary folder: working directory of every `tasktally`, so that item files lie in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the temporary folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// `tasktally` with this store, and nothing of the machine's own configuration.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tasktally"));
        command
            .current_dir(self.folder())
            .env("TASKTALLY_DB", &self.file)
            .env("TASKTALLY_CONFIG", self.config())
            .env("SCRATCHPAD", self.folder().join("scratch"))
            .env("HOME", self.folder())
            .stdin(Stdio::null());
        command
    }

    /// A command with its arguments, ready to run.
    pub(crate) fn tasktally<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run::new(self.command(), args)
    }

    /// A server process, its handshake done.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// A server process with more arguments, its handshake done.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        let mut server = self.server(args);
        server.listen();
        server.initialize("2025-11-25");
        server
    }

    /// A server process to which nothing was said yet, and whose stdout nobody reads yet.
    pub(crate) fn server(&self, args: &[&str]) -> Server {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder().join("server.log"))
            .expect("a log for stderr");
        let mut command = self.command();
        command.arg("serve").args(args).stderr(log);
        Server::spawn(command)
    }

    /// What the servers logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("server.log")).unwrap_or_default()
    }

    /// The store by other means: SQLite, as anybody could open it.
    pub(crate) fn sql(&self) -> Connection {
        let connection = Connection::open(&self.file).expect("SQLite opens the store");
        connection.busy_timeout(Duration::from_secs(20)).expect("a busy timeout");
        connection
    }

    /// Fails unless SQLite finds the file whole.
    pub(crate) fn assert_whole(&self) {
        let answer: String =
            self.sql().query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an integrity check");
        assert_eq!(answer, "ok");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A test that fails must not leave a runner at work.
        if self.config.is_some() {
            let named = self.folder.path().to_string_lossy().into_owned();
            let _ = Command::new("pkill").args(["-KILL", "-f", &named]).status();
        }
    }
}
