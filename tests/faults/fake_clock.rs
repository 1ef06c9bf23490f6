//! A wall clock that a test changes while processes run. `shims/clock.c` reads it from a small file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shim::shim;
use crate::support::server::Server;
use crate::support::store::Store;

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 86_400;

const NANOS: i64 = 1_000_000_000;

/// The clock of all processes that are started with it.
pub(crate) struct FakeClock {
    path: PathBuf,
    file: File,
    // Deletes the folder when the clock is dropped.
    _folder: TempDir,
}

impl FakeClock {
    /// A clock that shows the machine's time.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("tasktally-clock-").unwrap();
        let path = folder.path().join("clock");
        std::fs::write(&path, [0; 16]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        FakeClock { path, file, _folder: folder }
    }

    /// Shows the machine's time plus this many seconds.
    pub(crate) fn move_to(&self, seconds: i64) {
        self.write(0, seconds * NANOS);
        self.write(8, 0);
    }

    /// Stops the clock at a time in milliseconds since 1970.
    pub(crate) fn stop_at(&self, millis: i64) {
        self.write(8, millis * 1_000_000);
    }

    /// The difference to the machine's time in seconds.
    pub(crate) fn offset(&self) -> i64 {
        self.read(0) / NANOS
    }

    fn read(&self, at: u64) -> i64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        i64::from_ne_bytes(bytes)
    }

    fn write(&self, at: u64, value: i64) {
        self.file.write_all_at(&value.to_ne_bytes(), at).unwrap();
    }

    /// A command whose process and child processes see this clock.
    pub(crate) fn apply_to(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", shim("clock")).env("TASKTALLY_TEST_CLOCK", &self.path);
        command
    }

    /// A server process that sees this clock.
    pub(crate) fn serve(&self, store: &Store) -> Server {
        let mut command = store.command();
        let log = File::options().create(true).append(true).open(store.folder().join("server.log")).unwrap();
        command.arg("serve").stderr(log);
        let mut server = Server::spawn(self.apply_to(command));
        server.start_reading();
        server.initialize("2025-11-25");
        server
    }

    /// The time that the clock shows, in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        match self.read(8) {
            0 => machine_millis() + self.read(0) / 1_000_000,
            stopped_at => stopped_at / 1_000_000,
        }
    }

    /// Asserts that the server uses this clock. Without this check a test could pass with the real clock.
    #[track_caller]
    pub(crate) fn assert_seen_by(&self, server: &mut Server) {
        let made =
            server.call("create_task", json!({"task_title": "What time is it?", "status": "inbox"})).ok();
        let created = millis(&made["task"]["created"]);
        let off = Duration::from_millis(created.abs_diff(self.now()));
        assert!(
            off < Duration::from_secs(60),
            "the server's clock differs by {off:?} from the clock of the test"
        );
    }
}

/// The machine's time in milliseconds since 1970.
fn machine_millis() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A time in a reply, in milliseconds since 1970.
#[track_caller]
pub(crate) fn millis(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}
