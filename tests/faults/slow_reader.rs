//! A client that asks and does not read: the server's memory is bounded, and every answer comes later.
//!
//! `TASKTALLY_ROUNDS` asks for more requests.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::store::Store;
use crate::support::{resident_kib, rounds};

#[test]
fn a_client_that_does_not_read_costs_bounded_memory_and_gets_every_answer_later() {
    let requests = rounds("TASKTALLY_ROUNDS", 900).max(900);
    let store = Store::new();
    let mut writer = store.serve();
    let id = writer
        .call("create_task", json!({"title": "Long", "body": "x".repeat(60_000)}))
        .ok()
        .text("/task/id");
    writer.close();

    let mut server = store.server(&[]);
    let mut stdin = server.take_stdin();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let client = thread::spawn(move || {
        let hello = json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "deaf", "version": "0"}}});
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        stdin.write_all(format!("{hello}\n{ready}\n").as_bytes()).unwrap();
        for n in 0..requests {
            let call = json!({"jsonrpc": "2.0", "id": n, "method": "tools/call",
                              "params": {"name": "get_task", "arguments": {"id": id}}});
            stdin.write_all(format!("{call}\n").as_bytes()).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });

    // Until the server takes nothing more for a second: by then it holds all that it will.
    let (mut highest, mut seen, mut since) = (0, 0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        highest = highest.max(resident_kib(server.pid()));
        let now = written.load(Ordering::SeqCst);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(5));
    }
    println!("unread: {seen} requests written, {highest} KiB resident");
    assert!(seen < requests, "the input never waited");
    assert!(highest < 128 * 1024, "{highest} KiB");

    server.listen();
    for _ in 0..=requests {
        let answer = server.next_message().expect("an answer to each");
        assert!(answer["result"].is_object(), "{answer}");
    }
    client.join().unwrap();
}
