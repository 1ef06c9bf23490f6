//! A client that sends requests and does not read the responses: the server's memory stays bounded, and the client
//! gets every response once it reads.
//!
//! `TASKTALLY_ROUNDS` sets the number of requests.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::store::Store;
use crate::support::{resident_kib, rounds};

#[test]
fn a_client_that_reads_late_costs_bounded_memory_and_gets_every_response() {
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
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "slow-reader", "version": "0"}}});
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        stdin.write_all(format!("{hello}\n{ready}\n").as_bytes()).unwrap();
        for n in 0..requests {
            let call = json!({"jsonrpc": "2.0", "id": n, "method": "tools/call",
                              "params": {"name": "get_task", "arguments": {"id": id}}});
            stdin.write_all(format!("{call}\n").as_bytes()).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });

    // Wait until the server has accepted nothing for a second: by then its buffers are full. A stalled machine ends
    // this wait early, which makes the test weaker but never wrong.
    let (mut max_kib, mut seen, mut since) = (0, 0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        max_kib = max_kib.max(resident_kib(server.pid()));
        let now = written.load(Ordering::SeqCst);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(5));
    }
    println!("unread: {seen} requests written, {max_kib} KiB resident");
    assert!(seen < requests, "the server accepted every request without waiting");
    assert!(max_kib < 128 * 1024, "{max_kib} KiB");

    server.start_reading();
    for _ in 0..=requests {
        let response = server.next_message().expect("a response to each request");
        assert!(response["result"].is_object(), "{response}");
    }
    client.join().unwrap();
}
