//! The system calls of real `tasktally` processes: recorded in order, or made to fail by `shims/calls.c`. The constants
//! here are those of that file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::shim::shim;
use crate::support::server::Server;
use crate::support::store::Store;

/// The kinds of calls that may fail; a set is the sum of its members.
pub(crate) mod kind {
    pub(crate) const WRITE: u64 = 1;
    pub(crate) const SYNC: u64 = 2;
    pub(crate) const TRUNCATE: u64 = 4;
    pub(crate) const OPEN: u64 = 8;
    pub(crate) const MAP: u64 = 16;
    pub(crate) const NAME: u64 = 32;
}

/// The files whose calls fail; a set is the sum of its members.
pub(crate) mod file {
    pub(crate) const WAL: u64 = 2;
    pub(crate) const ANY: u64 = 127;
}

/// The process is killed in the sync, so that it gets no error.
pub(crate) const KILLED: u64 = 0;
pub(crate) const EIO: u64 = 5;
pub(crate) const ENOMEM: u64 = 12;
pub(crate) const EMFILE: u64 = 24;
pub(crate) const ENOSPC: u64 = 28;
pub(crate) const EROFS: u64 = 30;

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: u64,
    /// The first matching call that fails, from 1.
    pub(crate) first: u64,
    /// How many matching calls fail from there on.
    pub(crate) count: u64,
    pub(crate) errno: u64,
    /// Whether the first of them, a write, writes half of its data instead of failing.
    pub(crate) short: bool,
    pub(crate) files: u64,
}

/// The preloaded library `shims/calls.c` for the processes of a store.
pub(crate) struct Calls {
    folder: TempDir,
    recorded: bool,
    faults: File,
}

/// One call that changed a file below the folder, or an answer of a server.
#[derive(Debug)]
pub(crate) enum Call {
    Wrote { inode: u64, offset: u64, data: Vec<u8> },
    Cut { inode: u64, length: u64 },
    Syncing { inode: u64, by: u32 },
    Synced { inode: u64, by: u32, end: End },
    Made { inode: u64, path: PathBuf, folder: bool },
    Unlinked { path: PathBuf },
    Answered { pid: u32, text: String },
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    OnDisk,
    /// It failed: the data counts as clean in the page cache but is not on the disk.
    Dropped,
    /// It returned the error of another process's failed sync.
    Reported,
}

impl Calls {
    /// Makes calls fail and does not record them. The files are written and synced.
    pub(crate) fn failing() -> Self {
        let folder = TempDir::with_prefix("tasktally-calls-").unwrap();
        let faults = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(folder.path().join("faults"));
        let faults = faults.unwrap();
        faults.set_len(4096).unwrap();
        Calls { folder, recorded: false, faults }
    }

    /// Records all calls too, and does not wait for syncs.
    pub(crate) fn recording() -> Self {
        Calls { recorded: true, ..Calls::failing() }
    }

    /// A command on a store, with the preloaded library.
    pub(crate) fn before(&self, store: &Store, mut command: Command) -> Command {
        command
            .env("LD_PRELOAD", shim("calls"))
            .env("CALLS_FOLDER", store.folder())
            .env("CALLS_FAULTS", self.folder.path().join("faults"));
        if self.recorded {
            command.env("CALLS_LOG", self.folder.path().join("record"));
        }
        command
    }

    /// A server with the preloaded library, before the handshake.
    pub(crate) fn server(&self, store: &Store) -> Server {
        let log = File::options().create(true).append(true).open(store.folder().join("server.log")).unwrap();
        let mut command = self.before(store, store.command());
        command.arg("serve").stderr(log);
        let mut server = Server::spawn(command);
        server.start_reading();
        server
    }

    /// A server with the preloaded library, after the handshake.
    pub(crate) fn serve(&self, store: &Store) -> Server {
        let mut server = self.server(store);
        server.initialize("2025-11-25");
        server
    }

    /// The same; `None` if the server ends before that.
    pub(crate) fn try_serve(&self, store: &Store) -> Option<Server> {
        let mut server = self.server(store);
        let client = json!({"name": "tasktally-tests", "version": "0"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let (id, line) = server.encode_request("initialize", params);
        server.write_line(&line);
        server.answer(id)?;
        server.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        Some(server)
    }

    /// Makes these calls fail from now on.
    pub(crate) fn fail(&self, fault: Fault) {
        self.heal();
        let words = [
            fault.first,
            fault.count,
            fault.errno,
            u64::from(fault.short),
            fault.files,
            0, // matched
            0, // injected
        ];
        for (at, word) in words.into_iter().enumerate() {
            self.put(at as u64 + 1, word);
        }
        self.put(0, fault.kind);
    }

    /// How many calls matched since the latest [`Calls::fail`], failed or not.
    pub(crate) fn matched(&self) -> u64 {
        let mut word = [0; 8];
        self.faults.read_exact_at(&mut word, 6 * 8).unwrap();
        u64::from_ne_bytes(word)
    }

    /// Stops all failures. Returns how many calls failed since the latest [`Calls::fail`].
    pub(crate) fn heal(&self) -> u64 {
        self.put(0, 0);
        let mut word = [0; 8];
        self.faults.read_exact_at(&mut word, 7 * 8).unwrap();
        self.put(7, 0);
        u64::from_ne_bytes(word)
    }

    fn put(&self, at: u64, word: u64) {
        self.faults.write_all_at(&word.to_ne_bytes(), at * 8).unwrap();
    }

    /// All recorded calls, in order.
    pub(crate) fn record(&self) -> Vec<Call> {
        let bytes = std::fs::read(self.folder.path().join("record")).unwrap();
        let mut rest = &bytes[..];
        let mut calls = Vec::new();
        while !rest.is_empty() {
            calls.push(next(&mut rest));
        }
        calls
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn next(rest: &mut &[u8]) -> Call {
    let head = take(rest, 40);
    let small = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
    let large = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
    let (pid, by, result, inode, offset) = (small(4), small(8), small(12), large(16), large(24));
    let path = PathBuf::from(std::str::from_utf8(take(rest, small(32) as usize)).unwrap());
    let data = take(rest, small(36) as usize).to_vec();
    match small(0) {
        1 => Call::Wrote { inode, offset, data },
        2 => Call::Cut { inode, length: offset },
        3 => Call::Syncing { inode, by },
        4 => Call::Synced { inode, by, end: [End::OnDisk, End::Dropped, End::Reported][result as usize] },
        5 => Call::Made { inode, path, folder: result == 1 },
        6 => Call::Unlinked { path },
        7 => Call::Answered { pid, text: String::from_utf8(data).unwrap() },
        other => panic!("a record of kind {other}"),
    }
}
