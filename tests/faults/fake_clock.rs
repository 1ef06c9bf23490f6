//! A wall clock that a test turns under running processes: `shims/clock.c` reads it from a small file.

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

/// The clock of all processes that were started with it.
pub(crate) struct FakeClock {
    path: PathBuf,
    file: File,
    // Gone with it.
    _folder: TempDir,
}

impl FakeClock {
    /// One that shows the machine's time.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("tasktally-clock-").unwrap();
        let path = folder.path().join("dial");
        std::fs::write(&path, [0; 16]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        FakeClock { path, file, _folder: folder }
    }

    /// Shows the machine's time moved by so many seconds.
    pub(crate) fn move_to(&self, seconds: i64) {
        self.write(0, seconds * NANOS);
        self.write(8, 0);
    }

    /// Stands still at a moment, in milliseconds since 1970.
    pub(crate) fn stand_at(&self, millis: i64) {
        self.write(8, millis * 1_000_000);
    }

    /// By how many seconds it is moved.
    pub(crate) fn moved(&self) -> i64 {
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

    /// A command whose process, and whatever that starts with its own environment, sees this clock.
    pub(crate) fn of(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", shim("clock")).env("TASKTALLY_TEST_CLOCK", &self.path);
        command
    }

    /// A server that sees it; fails unless it does.
    pub(crate) fn serve(&self, store: &Store) -> Server {
        let mut command = store.command();
        let log = File::options().create(true).append(true).open(store.folder().join("server.log")).unwrap();
        command.arg("serve").stderr(log);
        let mut server = Server::spawn(self.of(command));
        server.listen();
        server.initialize("2025-11-25");
        server
    }

    /// What it shows now, in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        match self.read(8) {
            0 => machine() + self.read(0) / 1_000_000,
            stands => stands / 1_000_000,
        }
    }

    /// Fails unless what a server writes is dated by this clock: else nothing here tests anything.
    #[track_caller]
    pub(crate) fn assert_seen_by(&self, server: &mut Server) {
        let made =
            server.call("create_task", json!({"task_title": "What time is it?", "status": "inbox"})).ok();
        let told = millis(&made["task"]["created"]);
        let off = Duration::from_millis(told.abs_diff(self.now()));
        assert!(off < Duration::from_secs(60), "the server's clock is {off:?} off the one it was given");
    }
}

/// The machine's time in milliseconds since 1970.
fn machine() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A moment of a reply in milliseconds since 1970.
#[track_caller]
pub(crate) fn millis(moment: &Value) -> i64 {
    moment.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}
