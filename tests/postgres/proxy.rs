//! A proxy between `tasktally` and PostgreSQL that cuts a connection at a chosen message of the client.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::support::eventually;
use crate::support::server::Server;
use crate::support::store::Store;

const SOCKET: &str = ".s.PGSQL.5432";

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cut {
    /// Before the n-th message of the client.
    Before(u64),
    /// After the n-th message was passed on.
    After(u64),
    /// Before the n-th COMMIT. Only the client notices: PostgreSQL waits for its next message. Until [`Proxy::accept`], the client
    /// gets no other connection.
    BeforeCommit(u64),
    /// After PostgreSQL has committed; its answer is lost.
    AfterCommit,
}

#[derive(Default)]
struct State {
    cut: Option<Cut>,
    /// How many messages the clients have sent since the cut was set.
    messages: u64,
    /// How many of them were COMMIT.
    commits: u64,
    is_cut: bool,
    refuses: bool,
}

/// A running proxy. It stays until the test process ends.
pub(crate) struct Proxy {
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(crate) fn new(store: &Store) -> Self {
        let folder = TempDir::with_prefix("tt-proxy-").expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let state: Arc<Mutex<State>> = Arc::default();
        let (shared, target) = (state.clone(), store.database().cluster().folder().join(SOCKET));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, target) = (shared.clone(), target.clone());
                std::thread::spawn(move || pass_on(client, target, &shared));
            }
        });
        Proxy { folder, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server process whose database is behind the proxy.
    pub(crate) fn serve(&self, store: &Store) -> Server {
        let log = std::fs::File::create(self.folder.path().join("server.log")).expect("a log file");
        let mut command = store.command();
        let url = store.database().url_of(self.folder.path());
        command.arg("serve").env("TASKTALLY_DB", url).stderr(log);
        let mut server = Server::spawn(command);
        server.start_reading();
        server.initialize("2025-11-25");
        server
    }

    /// Cuts the next connection that comes to this point.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.state() = State { cut: Some(cut), ..State::default() };
    }

    /// Accepts connections again after [`Cut::BeforeCommit`].
    pub(crate) fn accept(&self) {
        self.state().refuses = false;
    }

    /// Whether the connection was cut since [`Proxy::cut`].
    pub(crate) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// Waits for the cut.
    pub(crate) fn wait_for_cut(&self) {
        eventually("the connection to be cut", || self.is_cut().then_some(()));
    }
}

/// Passes the messages of one connection on, both ways.
fn pass_on(client: UnixStream, target: PathBuf, state: &Mutex<State>) {
    if state.lock().unwrap().refuses {
        return;
    }
    let Ok(server) = UnixStream::connect(target) else { return };
    let is_lost = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| pass_answers_on(&server, &client, &is_lost));
        pass_requests_on(&client, &server, state, &is_lost);
    });
}

/// Passes answers on until the connection ends, or PostgreSQL has answered what must be lost.
fn pass_answers_on(mut server: &UnixStream, mut client: &UnixStream, is_lost: &AtomicBool) {
    /// Ready for the next query, outside of a transaction.
    const READY: &[u8] = b"Z\0\0\0\x05I";
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        if !is_lost.load(Ordering::Acquire) {
            if client.write_all(&buffer[..count]).is_err() {
                break;
            }
        } else if buffer[..count].ends_with(READY) {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn pass_requests_on(
    client: &UnixStream,
    mut server: &UnixStream,
    state: &Mutex<State>,
    is_lost: &AtomicBool,
) {
    let mut has_started = false;
    let mut commits = false;
    while let Some(message) = read_message(client, has_started) {
        has_started = true;
        let is_commit =
            message.first() == Some(&b'P') && message.windows(7).any(|bytes| bytes == b"COMMIT\0");
        commits |= is_commit;
        let is_end = commits && message.first() == Some(&b'S');
        let mut plan = state.lock().unwrap();
        plan.messages += 1;
        plan.commits += u64::from(is_commit);
        let number = plan.messages;
        let cut = plan.cut.filter(|cut| match *cut {
            Cut::Before(at) | Cut::After(at) => number == at,
            Cut::BeforeCommit(at) => commits && plan.commits == at,
            Cut::AfterCommit => is_end,
        });
        plan.is_cut |= cut.is_some();
        if cut.is_some() {
            plan.cut = None;
            plan.refuses = matches!(cut, Some(Cut::BeforeCommit(_)));
        }
        drop(plan);
        commits &= !is_end;
        // An answer may still be on its way.
        is_lost.fetch_or(matches!(cut, Some(Cut::BeforeCommit(_) | Cut::AfterCommit)), Ordering::AcqRel);
        if matches!(cut, Some(Cut::BeforeCommit(_))) {
            let _ = client.shutdown(Shutdown::Both);
            return;
        }
        let passed = matches!(cut, Some(Cut::Before(_))) || server.write_all(&message).is_ok();
        if !passed || matches!(cut, Some(Cut::Before(_) | Cut::After(_))) {
            break;
        }
        if is_lost.load(Ordering::Acquire) {
            // The other direction ends the connection.
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// A message of a client: a letter, except for the first message, then its length and its content.
fn read_message(mut client: &UnixStream, has_letter: bool) -> Option<Vec<u8>> {
    let mut message = vec![0; if has_letter { 5 } else { 4 }];
    client.read_exact(&mut message).ok()?;
    let header = message.len();
    let length = u32::from_be_bytes(message[header - 4..].try_into().ok()?) as usize;
    message.resize(header + length.checked_sub(4)?, 0);
    client.read_exact(&mut message[header..]).ok()?;
    Some(message)
}
