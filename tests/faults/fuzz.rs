//! Random and malformed input on the pipe of a real server: each request with an id is answered once, the server does
//! not crash, and the store passes its checks afterwards.
//!
//! `TASKTALLY_SECONDS` sets the time, `TASKTALLY_SEED` repeats the same sessions.

use std::collections::HashMap;
use std::io::Write;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fuzz_requests::{Corpus, mutate_bytes};
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{resident_kib, rounds};

/// A bound on the memory of a server. It is high because many lines of the maximal length may be in flight.
const MAX_MEMORY_KIB: u64 = 512 << 10;
/// The longest line that the server accepts, in bytes.
const MAX_LINE: usize = 16 << 20;

/// The responses that are expected to what was sent.
#[derive(Default)]
struct ExpectedResponses {
    /// The least and greatest number of responses.
    min: usize,
    max: usize,
    /// How often each id of a valid request was sent.
    ids: HashMap<String, usize>,
    /// How often each id was sent in something that is not a valid request. A refusal may name it.
    invalid_ids: HashMap<String, usize>,
}

impl ExpectedResponses {
    /// Counts the responses to a line, as the protocol defines them.
    fn add_line(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if line.len() > MAX_LINE {
            (self.min, self.max) = (self.min + 1, self.max + 1);
            return;
        }
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            (self.min, self.max) = (self.min + 1, self.max + 1);
            return;
        };
        let (method, id) = (value.get("method"), value.get("id"));
        match (method, id) {
            (Some(Value::String(_)), None) => {}
            (Some(Value::String(method)), Some(id)) if method != "subscriptions/listen" => {
                (self.min, self.max) = (self.min + 1, self.max + 1);
                if id.is_string() || id.as_u64().is_some_and(|id| id < 1 << 31) {
                    *self.ids.entry(id.to_string()).or_default() += 1;
                }
            }
            // A response without a request, not a message at all, or a stream, which ends with its client.
            (_, id) => {
                self.max += 1;
                *self.invalid_ids.entry(id.unwrap_or(&Value::Null).to_string()).or_default() += 1;
            }
        }
    }
}

/// Writes bytes in pieces of random sizes.
fn write_in_pieces(stdin: &mut ChildStdin, bytes: &[u8], rng: &mut Rng) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = match rng.below(4) {
            0 => 1 + rng.below(7) as usize,
            1 => 1 + rng.below(300) as usize,
            _ => 1 + rng.below(200_000) as usize,
        };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        if stdin.write_all(piece).and_then(|()| stdin.flush()).is_err() {
            return;
        }
        rest = after;
        if rng.below(400) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a session sent and received.
struct Session {
    lines: usize,
    responses: usize,
    memory_kib: u64,
}

/// Runs a random session from its handshake to its end.
fn run_session(store: &Store, corpus: &Corpus, rng: &mut Rng) -> Session {
    let stateless = rng.below(2) == 0;
    // One in eight sessions starts without a handshake.
    let has_handshake = stateless || rng.below(8) > 0;
    let mut bytes = Vec::new();
    if !stateless && has_handshake {
        bytes.extend(corpus.handshake(rng));
    }
    for number in 0..20 + rng.below(150) {
        let mut line = corpus.line(rng, number, stateless);
        if rng.below(6) == 0 {
            mutate_bytes(rng, &mut line);
        }
        bytes.extend(line);
        bytes.push(b'\n');
    }
    if rng.below(40) == 0 {
        bytes.extend(corpus.long_line(rng, MAX_LINE));
    }
    if rng.below(3) == 0 {
        // Cut the last line.
        let cut = bytes.len() - 1 - rng.below(20).min(bytes.len() as u64 - 1) as usize;
        bytes.truncate(cut);
    }
    let mut expected = ExpectedResponses::default();
    bytes.split(|byte| *byte == b'\n').for_each(|line| expected.add_line(line));
    let lines = bytes.split(|byte| *byte == b'\n').count();

    let mut server = store.server(if rng.below(5) == 0 { &["--toolset", "worker"] } else { &[] });
    let mut stdin = server.take_stdin();
    server.start_reading();
    let pid = server.pid();
    let mut writer_rng = Rng::with_seed(rng.below(u64::MAX >> 12));
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || write_in_pieces(&mut stdin, &sent, &mut writer_rng));
    let (mut responses, mut by_id) = (0, HashMap::<String, usize>::new());
    let mut memory = 0;
    while let Some(message) = server.next_message() {
        if message.get("method").is_none() {
            responses += 1;
            *by_id.entry(message["id"].to_string()).or_default() += 1;
            if responses % 16 == 0 {
                memory = memory.max(resident_kib(pid));
            }
        }
    }
    writer.join().unwrap();
    let ended = server.close();
    let context = || {
        let path = std::env::temp_dir().join("tasktally-fuzz-session");
        std::fs::write(&path, &bytes).unwrap();
        format!("the session is in {}; {}", path.display(), store.log())
    };
    assert!(!store.log().contains("panicked"), "{}", context());
    assert!(ended.code().is_some(), "a signal ended the server: {ended:?}, {}", context());
    if has_handshake {
        assert!(ended.success(), "{ended:?}, {}", context());
        assert!(
            (expected.min..=expected.max).contains(&responses),
            "{responses} responses, not {} to {}: {}",
            expected.min,
            expected.max,
            context()
        );
        for (id, times) in &expected.ids {
            let got = by_id.get(id).copied().unwrap_or(0);
            // A second request with an id that is in flight is refused without naming the id.
            let max = times + expected.invalid_ids.get(id).unwrap_or(&0);
            assert!(got <= max && (*times > 1 || got >= 1), "id {id}: {got} of {times}; {}", context());
        }
    } else {
        assert!(responses <= expected.max, "{responses} responses to {}: {}", expected.max, context());
    }
    Session { lines, responses, memory_kib: memory }
}

#[test]
fn every_request_of_random_sessions_is_answered_once_and_the_server_survives() {
    let mut rng = Rng::seeded("every_request_of_random_sessions");
    let time = Duration::from_secs(rounds("TASKTALLY_SECONDS", 5) as u64);
    let store = Store::new();
    let corpus = Corpus::of(&store);
    let (mut sessions, mut lines, mut responses, mut memory) = (0, 0, 0, 0);
    let start = Instant::now();
    while start.elapsed() < time {
        let session = run_session(&store, &corpus, &mut rng);
        sessions += 1;
        (lines, responses) = (lines + session.lines, responses + session.responses);
        memory = memory.max(session.memory_kib);
        if sessions % 50 == 0 {
            store.assert_whole();
        }
    }
    store.assert_whole();
    store.tasktally(["verify"]).success();
    println!(
        "{sessions} sessions, {lines} lines, {responses} responses, all the expected ones; at most {memory} KiB"
    );
    assert!(responses > sessions, "the fuzzer got too few responses");
    assert!(memory < MAX_MEMORY_KIB, "{memory} KiB");
}

#[test]
fn a_message_that_is_no_request_is_ignored_before_the_handshake() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.start_reading();
    // A ping is no handshake, so these messages come before the session.
    assert!(server.request("ping", json!({}))["result"].is_object());
    server
        .write_line(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}).to_string());
    server.write_line(&json!({"jsonrpc": "2.0", "id": 9, "result": {}}).to_string());
    assert!(server.initialize("2025-11-25").is_object(), "{}", store.log());
    server.create_task("After the handshake");
}

#[test]
fn a_too_long_last_line_without_line_end_is_answered() {
    let store = Store::new();
    let mut server = store.serve();
    let mut line = br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":""#.to_vec();
    line.resize(MAX_LINE + 1, b'x');
    server.write(&line);
    assert!(server.close().success());
    let refused = server.next_message().expect("a response");
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("longer than the allowed 16777216 bytes"),
        "{refused}"
    );
    assert_eq!(server.next_message(), None);
}
