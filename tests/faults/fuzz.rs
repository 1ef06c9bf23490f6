//! Anything on the pipe of a real server: whatever has an id is answered once, nothing crashes, and the store is
//! whole afterwards.
//!
//! `TASKTALLY_SECONDS` asks for more time, `TASKTALLY_SEED` for the same sessions again.

use std::collections::HashMap;
use std::io::Write;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::requests::{Corpus, mutate_bytes};
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{resident_kib, rounds};

/// More than a server ever needs, in KiB: many lines of the longest size may be in flight.
const MUCH_MEMORY: u64 = 512 << 10;
/// What a line may be at most.
const LONGEST_LINE: usize = 16 << 20;

/// What is to be answered, of all that was sent.
#[derive(Default)]
struct Expected {
    /// How many answers there are in all, at least and at most.
    least: usize,
    most: usize,
    /// How often each id that is surely one was sent.
    ids: HashMap<String, usize>,
    /// How often each stood in what is no request; a refusal may name it.
    beside: HashMap<String, usize>,
}

impl Expected {
    /// Takes a line into account, as the protocol reads it.
    fn line(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if line.len() > LONGEST_LINE {
            (self.least, self.most) = (self.least + 1, self.most + 1);
            return;
        }
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            (self.least, self.most) = (self.least + 1, self.most + 1);
            return;
        };
        let (method, id) = (value.get("method"), value.get("id"));
        match (method, id) {
            (Some(Value::String(_)), None) => {}
            (Some(Value::String(method)), Some(id)) if method != "subscriptions/listen" => {
                (self.least, self.most) = (self.least + 1, self.most + 1);
                if id.is_string() || id.as_u64().is_some_and(|id| id < 1 << 31) {
                    *self.ids.entry(id.to_string()).or_default() += 1;
                }
            }
            // An answer to nothing, or no message at all; or a stream, which lasts as long as its client.
            (_, id) => {
                self.most += 1;
                *self.beside.entry(id.unwrap_or(&Value::Null).to_string()).or_default() += 1;
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

/// What a session came to: lines and answers.
struct Session {
    lines: usize,
    answers: usize,
    memory: u64,
}

/// A session from its greeting to its end.
fn session(store: &Store, corpus: &Corpus, rng: &mut Rng) -> Session {
    let stateless = rng.below(2) == 0;
    // One in eight does not greet, or greets with anything.
    let greets = stateless || rng.below(8) > 0;
    let mut bytes = Vec::new();
    if !stateless && greets {
        bytes.extend(corpus.greeting(rng));
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
        bytes.extend(corpus.long_line(rng, LONGEST_LINE));
    }
    if rng.below(3) == 0 {
        // The last line lacks its end.
        let cut = bytes.len() - 1 - rng.below(20).min(bytes.len() as u64 - 1) as usize;
        bytes.truncate(cut);
    }
    let mut expected = Expected::default();
    bytes.split(|byte| *byte == b'\n').for_each(|line| expected.line(line));
    let lines = bytes.split(|byte| *byte == b'\n').count();

    let mut server = store.server(if rng.below(5) == 0 { &["--toolset", "worker"] } else { &[] });
    let mut stdin = server.take_stdin();
    server.listen();
    let pid = server.pid();
    let mut its_own = Rng::from(rng.below(u64::MAX >> 12));
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || write_in_pieces(&mut stdin, &sent, &mut its_own));
    let (mut answers, mut answered) = (0, HashMap::<String, usize>::new());
    let mut memory = 0;
    while let Some(message) = server.next_message() {
        if message.get("method").is_none() {
            answers += 1;
            *answered.entry(message["id"].to_string()).or_default() += 1;
            if answers % 16 == 0 {
                memory = memory.max(resident_kib(pid));
            }
        }
    }
    writer.join().unwrap();
    let ended = server.close();
    let told = || {
        let path = std::env::temp_dir().join("tasktally-fuzz-session");
        std::fs::write(&path, &bytes).unwrap();
        format!("the session is in {}; {}", path.display(), store.log())
    };
    assert!(!store.log().contains("panicked"), "{}", told());
    assert!(ended.code().is_some(), "a signal ended it: {ended:?}, {}", told());
    if greets {
        assert!(ended.success(), "{ended:?}, {}", told());
        assert!(
            (expected.least..=expected.most).contains(&answers),
            "{answers} answers, not {} to {}: {}",
            expected.least,
            expected.most,
            told()
        );
        for (id, times) in &expected.ids {
            let got = answered.get(id).copied().unwrap_or(0);
            // One that is still in use is refused without naming it.
            let most = times + expected.beside.get(id).unwrap_or(&0);
            assert!(got <= most && (*times > 1 || got >= 1), "id {id}: {got} of {times}; {}", told());
        }
    } else {
        assert!(answers <= expected.most, "{answers} answers to {}: {}", expected.most, told());
    }
    Session { lines, answers, memory }
}

#[test]
fn whatever_comes_over_the_pipe_is_answered_once_and_nothing_breaks() {
    let mut rng = Rng::seeded("whatever_comes_over_the_pipe");
    let time = Duration::from_secs(rounds("TASKTALLY_SECONDS", 5) as u64);
    let store = Store::new();
    let corpus = Corpus::of(&store);
    let (mut sessions, mut lines, mut answers, mut memory) = (0, 0, 0, 0);
    let begun = Instant::now();
    while begun.elapsed() < time {
        let session = session(&store, &corpus, &mut rng);
        sessions += 1;
        (lines, answers) = (lines + session.lines, answers + session.answers);
        memory = memory.max(session.memory);
        if sessions % 50 == 0 {
            store.assert_whole();
        }
    }
    store.assert_whole();
    store.tasktally(["verify"]).success();
    println!(
        "{sessions} sessions, {lines} lines, {answers} answers, each that was owed and no other; at most {memory} KiB"
    );
    assert!(answers > sessions, "the fuzzer reached nothing");
    assert!(memory < MUCH_MEMORY, "{memory} KiB");
}

#[test]
fn what_is_no_request_ends_nothing_before_the_session_is_opened() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.listen();
    // A probe opens nothing, so what follows it belongs to no session yet.
    assert!(server.request("ping", json!({}))["result"].is_object());
    server
        .write_line(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}).to_string());
    server.write_line(&json!({"jsonrpc": "2.0", "id": 9, "result": {}}).to_string());
    assert!(server.initialize("2025-11-25").is_object(), "{}", store.log());
    server.task("It goes on");
}

#[test]
fn a_line_that_is_too_long_is_answered_also_where_it_is_the_last_and_lacks_its_end() {
    let store = Store::new();
    let mut server = store.serve();
    let mut line = br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":""#.to_vec();
    line.resize(LONGEST_LINE + 1, b'x');
    server.write(&line);
    assert!(server.close().success());
    let refused = server.next_message().expect("it is answered");
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("longer than 16777216 bytes"),
        "{refused}"
    );
    assert_eq!(server.next_message(), None);
}
