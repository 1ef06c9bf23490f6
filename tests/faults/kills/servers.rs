//! Servers with sixteen writes of different kinds in flight.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;

use serde_json::{Value, json};

use super::KillTime;
use crate::support::reply::Reply;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::sql::Sql;
use crate::support::store::Store;

/// The number of items in a batch, one per chunk.
const ITEMS: u64 = 3;
/// The number of rounds before a new store is used, so that checking a store does not take longer than writing it.
const ROUNDS_PER_STORE: usize = 25;

/// What the servers acknowledged in all rounds with one store.
#[derive(Default)]
struct AcknowledgedWrites {
    /// The text of each receipt on the log task, by the number in the reply.
    receipts: HashMap<u64, String>,
    /// Texts of receipts that were written with a request key and must be there once.
    keyed: Vec<String>,
    /// The last acknowledged status of each task.
    tasks: BTreeMap<String, &'static str>,
    batches: Vec<String>,
    /// Claimed chunks: id, token and the key of the only item.
    claimed: Vec<(String, Value, String)>,
    /// Chunks whose item is settled: id, token and key.
    settled: Vec<(String, Value, String)>,
    completed: Vec<String>,
    /// Writes with a request key that got no reply; they are sent again.
    unanswered: VecDeque<Write>,
}

/// A write that is sent to a server.
#[derive(Clone)]
enum Write {
    Receipt(String),
    Keyed(String),
    Create,
    Claim(String),
    Complete(String),
    Batch(String),
    ClaimChunk(String),
    Settle(String, Value, String),
    CompleteChunk(String, Value),
}

impl Write {
    /// The tool and its arguments.
    fn request(&self, log: &str, serial: u64) -> (&'static str, Value) {
        match self {
            Write::Receipt(text) => ("update_task", json!({"id": log, "body": text})),
            Write::Keyed(text) => ("update_task", json!({"id": log, "body": text, "request_key": text})),
            Write::Create => ("create_task", json!({"task_title": format!("Task {serial}")})),
            Write::Claim(id) => ("update_task", json!({"id": id, "status": "in_progress", "assignee": "w"})),
            Write::Complete(id) => ("complete_task", json!({"id": id})),
            Write::Batch(key) => {
                let items: Vec<String> = (0..ITEMS).map(|n| format!("item-{n}")).collect();
                let plan = json!({"title": key, "instructions": "x", "items": items, "max_chunk": 1,
                    "request_key": key});
                ("create_batch", plan)
            }
            Write::ClaimChunk(batch) => ("claim_task", json!({"batch": batch, "worker": "w"})),
            Write::Settle(chunk, token, key) => {
                ("update_task", json!({"id": chunk, "claim": token, "item": key, "outcome": "done"}))
            }
            Write::CompleteChunk(chunk, token) => ("complete_task", json!({"id": chunk, "claim": token})),
        }
    }

    /// Records the reply.
    fn acknowledge(self, reply: Reply, known: &mut AcknowledgedWrites) {
        if let (Write::ClaimChunk(_), "nothing_to_claim") = (&self, reply.code()) {
            return;
        }
        let reply = reply.ok();
        match self {
            Write::Receipt(text) => {
                let twice = known.receipts.insert(reply.count("/receipt/number"), text);
                assert_eq!(twice, None, "the same number for two receipts: {}", reply.value);
            }
            Write::Keyed(text) => known.keyed.push(text),
            Write::Create => drop(known.tasks.insert(reply.text("/task/id"), "active")),
            Write::Claim(id) => drop(known.tasks.insert(id, "in_progress")),
            Write::Complete(id) => drop(known.tasks.insert(id, "done")),
            Write::Batch(_) => known.batches.push(reply.text("/batch/id")),
            Write::ClaimChunk(_) => known.claimed.push((
                reply.text("/task/id"),
                reply["claim"]["token"].clone(),
                reply.text("/items/0/key"),
            )),
            Write::Settle(chunk, token, key) => known.settled.push((chunk, token, key)),
            Write::CompleteChunk(chunk, _) => known.completed.push(chunk),
        }
    }
}

/// A random write. A task or chunk with a write in flight is not chosen until its reply.
fn choose(rng: &mut Rng, known: &mut AcknowledgedWrites, serial: u64) -> Write {
    if let Some(again) = known.unanswered.pop_front() {
        return again;
    }
    let mut pick = |status: &str| {
        let id = known.tasks.iter().find(|(_, now)| **now == status).map(|(id, _)| id.clone())?;
        known.tasks.remove(&id);
        Some(id)
    };
    let chosen = match rng.below(20) {
        0..=5 => None,
        6..=8 => Some(Write::Keyed(format!("- keyed {serial}"))),
        9 | 10 => Some(Write::Create),
        11 | 12 => pick("active").map(Write::Claim),
        13 => pick("in_progress").map(Write::Complete),
        14 => Some(Write::Batch(format!("batch {serial}"))),
        15 | 16 => known.batches.last().cloned().map(Write::ClaimChunk),
        17 | 18 => known.claimed.pop().map(|(chunk, token, key)| Write::Settle(chunk, token, key)),
        _ => known.settled.pop().map(|(chunk, token, _)| Write::CompleteChunk(chunk, token)),
    };
    // Sometimes a long text, so that WAL checkpoints are frequent.
    let size = if rng.below(8) == 0 { 40_000 } else { 1 };
    chosen.unwrap_or_else(|| Write::Receipt(format!("- receipt {serial}{}", ".".repeat(size))))
}

/// Keeps sixteen writes in flight until the server has ended. After `most` writes, closes the server so that it is
/// killed while it ends. Records what the server acknowledged and returns how many writes that were.
fn write_until_killed(
    server: &mut Server,
    log: &str,
    rng: &mut Rng,
    serial: &mut u64,
    known: &mut AcknowledgedWrites,
    most: u64,
) -> u64 {
    let mut in_flight = VecDeque::new();
    let mut acknowledged = 0;
    loop {
        while in_flight.len() < 16 && acknowledged < most {
            *serial += 1;
            let write = choose(rng, known, *serial);
            let (tool, arguments) = write.request(log, *serial);
            in_flight.push_back((server.send(tool, arguments), write));
        }
        let Some((id, write)) = in_flight.pop_front() else {
            drop(server.take_stdin());
            while server.next_message().is_some() {}
            return acknowledged;
        };
        let Some(reply) = server.recv(id) else {
            in_flight.push_front((id, write));
            let keyed = in_flight.into_iter().map(|(_, write)| write);
            known.unanswered.extend(keyed.filter(|write| matches!(write, Write::Keyed(_) | Write::Batch(_))));
            return acknowledged;
        };
        write.acknowledge(reply, known);
        acknowledged += 1;
    }
}

fn assert_kept(sql: &Sql, log: &str, known: &AcknowledgedWrites) {
    let count = |query: &str, value: &str| -> u64 { sql.row(query, &[&value]) };
    let row = count("SELECT row_id FROM task WHERE id = ?1", log);
    let texts = "SELECT number, text FROM receipt WHERE task = ?1 ORDER BY number";
    let texts: HashMap<u64, String> = sql.rows(texts, &[&row]).into_iter().collect();
    for (number, text) in &known.receipts {
        assert_eq!(texts.get(number), Some(text), "receipt {number} was acknowledged");
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    texts.values().for_each(|text| *counts.entry(text).or_default() += 1);
    for text in &known.keyed {
        assert_eq!(counts.get(text.as_str()), Some(&1), "{text} was acknowledged once");
    }
    // No write, acknowledged or not, is there twice.
    assert!(counts.values().all(|times| *times == 1), "a receipt was written twice");
    for (id, status) in &known.tasks {
        let now: String = sql.row("SELECT status FROM task WHERE id = ?1", &[id]);
        assert_eq!(now, *status, "{id} was acknowledged as {status}");
    }
    for batch in &known.batches {
        let items = "SELECT count(*) FROM item WHERE batch = (SELECT row_id FROM task WHERE id = ?1)";
        assert_eq!(count(items, batch), ITEMS, "batch {batch} was acknowledged");
    }
    for (chunk, _, key) in &known.settled {
        let done = format!(
            "SELECT count(*) FROM receipt WHERE task = (SELECT row_id FROM task WHERE id = ?1) AND item_key = '{key}' AND late = 0"
        );
        assert_eq!(count(&done, chunk), 1, "{chunk}: {key} was acknowledged");
    }
    for chunk in &known.completed {
        assert_eq!(count("SELECT count(*) FROM task WHERE id = ?1 AND status = 'done'", chunk), 1, "{chunk}");
    }
    // Batches that were not acknowledged are complete, too, and no batch is there twice.
    let partial = "SELECT count(*) FROM batch b WHERE items_total <> (SELECT count(*) FROM item i WHERE i.batch = b.task) OR items_total <> ?1";
    assert_eq!(sql.row::<u64>(partial, &[&ITEMS]), 0, "a batch is there in part");
    let twice = "SELECT count(*) - count(DISTINCT t.title) FROM batch b JOIN task t ON t.row_id = b.task";
    assert_eq!(sql.row::<u64>(twice, &[]), 0, "a batch was created twice");
}

/// Kills a process while it creates the store. The next process must complete the creation.
fn kill_during_creation(rng: &mut Rng, store: &Store) {
    let kill = KillTime::random(rng, 40, 60);
    let mut command = store.command();
    kill.prepare(&mut command);
    let mut child = crate::support::cli::Run::new(command, ["list-tasks"]).start();
    thread::sleep(kill.deadline().min(std::time::Duration::from_millis(40)));
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_server_killed_at_any_moment_has_kept_every_acknowledged_write() {
    let mut rng = Rng::seeded("a_server_killed_at_any_moment");
    let (mut serial, mut acknowledged, mut repeated, mut by_call) = (0, 0, 0, 0);
    let (mut store, mut log, mut known) = (Store::new(), String::new(), AcknowledgedWrites::default());
    let all = rounds("TASKTALLY_ROUNDS", 25);
    for round in 0..all {
        if round % ROUNDS_PER_STORE == 0 {
            (store, known) = (Store::new(), AcknowledgedWrites::default());
            kill_during_creation(&mut rng, &store);
            log = store.serve().create_task("Log");
        }
        // The first server is not killed, so that some writes are acknowledged on a slow machine, too.
        let kill = if round == 0 { KillTime::Never } else { KillTime::random(&mut rng, 120, 3000) };
        by_call += usize::from(matches!(kill, KillTime::Before(_)));
        repeated += known.unanswered.len();
        let mut command = store.command();
        command.arg("serve").stderr(std::process::Stdio::null());
        kill.prepare(&mut command);
        let mut server = Server::spawn(command);
        server.start_reading();
        let pid = server.pid();
        let (ended, has_ended) = std::sync::mpsc::channel::<()>();
        let killer = thread::spawn(move || {
            // A process that was killed by its call is still a zombie, so no other process has its id.
            if has_ended.recv_timeout(kill.deadline()) == Err(RecvTimeoutError::Timeout) {
                crate::support::send_signal("KILL", pid);
            }
        });
        if server.try_initialize() {
            // One in four servers is closed after some writes, so that it is killed while it ends.
            let most = match rng.below(4) {
                _ if round == 0 => 60,
                0 => rng.below(60),
                _ => u64::MAX,
            };
            acknowledged += write_until_killed(&mut server, &log, &mut rng, &mut serial, &mut known, most);
        }
        drop(ended);
        killer.join().unwrap();
        drop(server);
        if round % 2 == 0 {
            // In half of the rounds tasktally recovers the store, otherwise plain SQLite does.
            store.tasktally(["list-tasks"]).success();
        }
        let sql = store.sql();
        assert_kept(&sql, &log, &known);
        if round % ROUNDS_PER_STORE == ROUNDS_PER_STORE - 1 || round + 1 == all {
            store.assert_whole();
            store.tasktally(["verify"]).success();
        }
    }
    println!(
        "{} servers killed ({by_call} at a call), {acknowledged} writes acknowledged and kept, {repeated} repeated under their keys, none twice",
        all - 1
    );
    assert!(acknowledged > 0 && by_call > 0 && by_call < all);
}
