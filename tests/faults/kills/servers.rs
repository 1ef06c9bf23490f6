//! Servers with sixteen writes of all kinds in flight.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Timestamp;
use crate::support::reply::Reply;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::store::Store;

/// How many items a batch has, one a chunk.
const ITEMS: u64 = 3;
/// After how many rounds another store is begun, so that reading back does not outgrow the writing.
const ROUNDS_A_STORE: usize = 25;

/// What the servers acknowledged, over all rounds with a store.
#[derive(Default)]
struct Acknowledged {
    /// Text of each receipt on the log task, by the number that the reply told.
    receipts: HashMap<u64, String>,
    /// Receipts that were asked for under a key and are to be there once.
    keyed: Vec<String>,
    /// The status that each task was last told to have.
    tasks: BTreeMap<String, &'static str>,
    batches: Vec<String>,
    /// Chunks that are held under a token, with the key of their item.
    held: Vec<(String, Value, String)>,
    /// Chunks whose item was settled, under the same token.
    settled: Vec<(String, Value, String)>,
    completed: Vec<String>,
    /// Asked under a key and not answered: to be asked again.
    unanswered: VecDeque<Write>,
}

/// A write on its way.
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
    /// What is asked.
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

    /// Takes an acknowledgement down.
    fn acknowledge(self, reply: Reply, known: &mut Acknowledged) {
        if let (Write::ClaimChunk(_), "nothing_to_claim") = (&self, reply.code()) {
            return;
        }
        let reply = reply.ok();
        match self {
            Write::Receipt(text) => {
                let twice = known.receipts.insert(reply.count("/receipt/number"), text);
                assert_eq!(twice, None, "a number given twice: {}", reply.value);
            }
            Write::Keyed(text) => known.keyed.push(text),
            Write::Create => drop(known.tasks.insert(reply.text("/task/id"), "active")),
            Write::Claim(id) => drop(known.tasks.insert(id, "in_progress")),
            Write::Complete(id) => drop(known.tasks.insert(id, "done")),
            Write::Batch(_) => known.batches.push(reply.text("/batch/id")),
            Write::ClaimChunk(_) => known.held.push((
                reply.text("/task/id"),
                reply["claim"]["token"].clone(),
                reply.text("/items/0/key"),
            )),
            Write::Settle(chunk, token, key) => known.settled.push((chunk, token, key)),
            Write::CompleteChunk(chunk, _) => known.completed.push(chunk),
        }
    }
}

/// Chooses a write; what has one in flight is left alone until it is answered.
fn choose(rng: &mut Rng, known: &mut Acknowledged, serial: u64) -> Write {
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
        17 | 18 => known.held.pop().map(|(chunk, token, key)| Write::Settle(chunk, token, key)),
        _ => known.settled.pop().map(|(chunk, token, _)| Write::CompleteChunk(chunk, token)),
    };
    // A long one now and then, so that the log is folded in often.
    let size = if rng.below(8) == 0 { 40_000 } else { 1 };
    chosen.unwrap_or_else(|| Write::Receipt(format!("- receipt {serial}{}", ".".repeat(size))))
}

/// Keeps sixteen writes in flight until the server is gone, or closes it after some and lets it be killed
/// while it ends; records what it acknowledged. Gives how many that was.
fn write_until_killed(
    server: &mut Server,
    log: &str,
    rng: &mut Rng,
    serial: &mut u64,
    known: &mut Acknowledged,
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

fn assert_kept(sql: &Connection, log: &str, known: &Acknowledged) {
    let count = |query: &str, value: &str| -> u64 {
        sql.prepare_cached(query).unwrap().query_row([value], |row| row.get(0)).unwrap()
    };
    let row = count("SELECT row_id FROM task WHERE id = ?1", log);
    let mut texts =
        sql.prepare_cached("SELECT number, text FROM receipt WHERE task = ?1 ORDER BY number").unwrap();
    let texts: HashMap<u64, String> =
        texts.query_map([row], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    for (number, text) in &known.receipts {
        assert_eq!(texts.get(number), Some(text), "receipt {number} was acknowledged");
    }
    let mut often: HashMap<&str, usize> = HashMap::new();
    texts.values().for_each(|text| *often.entry(text).or_default() += 1);
    for text in &known.keyed {
        assert_eq!(often.get(text.as_str()), Some(&1), "{text} was acknowledged once");
    }
    // Whatever was asked, and answered or not: never twice.
    assert!(often.values().all(|times| *times == 1), "a receipt was written twice");
    for (id, status) in &known.tasks {
        let now: String =
            sql.query_row("SELECT status FROM task WHERE id = ?1", [id], |row| row.get(0)).unwrap();
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
    // Batches that nobody was told of are there wholly, too: of each key one.
    let halves = "SELECT count(*) FROM batch b WHERE items_total <> (SELECT count(*) FROM item i WHERE i.batch = b.task) OR items_total <> ?1";
    assert_eq!(
        sql.query_row(halves, [ITEMS], |row| row.get::<_, u64>(0)).unwrap(),
        0,
        "a batch is there in part"
    );
    let twice = "SELECT count(*) - count(DISTINCT t.title) FROM batch b JOIN task t ON t.row_id = b.task";
    assert_eq!(sql.query_row(twice, [], |row| row.get::<_, u64>(0)).unwrap(), 0, "a batch was made twice");
}

/// Kills a server that makes the store; another one makes it all the same, whatever it finds.
fn kill_at_the_making(rng: &mut Rng, store: &Store) {
    let moment = Timestamp::any(rng, 40, 60);
    let mut command = store.command();
    moment.prepare(&mut command);
    let mut child = crate::support::cli::Run::new(command, ["list-tasks"]).start();
    thread::sleep(moment.at_the_latest().min(std::time::Duration::from_millis(40)));
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_server_killed_at_any_moment_has_kept_every_write_it_acknowledged() {
    let mut rng = Rng::seeded("a_server_killed_at_any_moment");
    let (mut serial, mut acknowledged, mut repeated, mut by_call) = (0, 0, 0, 0);
    let (mut store, mut log, mut known) = (Store::new(), String::new(), Acknowledged::default());
    let all = rounds("TASKTALLY_ROUNDS", 25);
    for round in 0..all {
        if round % ROUNDS_A_STORE == 0 {
            (store, known) = (Store::new(), Acknowledged::default());
            kill_at_the_making(&mut rng, &store);
            log = store.serve().task("Log");
        }
        let moment = Timestamp::any(&mut rng, 120, 3000);
        by_call += usize::from(matches!(moment, Timestamp::Before(_)));
        repeated += known.unanswered.len();
        let mut command = store.command();
        command.arg("serve").stderr(std::process::Stdio::null());
        moment.prepare(&mut command);
        let mut server = Server::spawn(command);
        server.listen();
        let pid = server.pid();
        let (gone, is_gone) = std::sync::mpsc::channel::<()>();
        let killer = thread::spawn(move || {
            // One that was killed by its call is not waited for yet, so nobody else has its number.
            if is_gone.recv_timeout(moment.at_the_latest()) == Err(RecvTimeoutError::Timeout) {
                crate::support::signal("KILL", pid);
            }
        });
        if server.try_initialize() {
            // One in four is closed after some writes, to be killed while it ends.
            let most = if rng.below(4) == 0 { rng.below(60) } else { u64::MAX };
            acknowledged += write_until_killed(&mut server, &log, &mut rng, &mut serial, &mut known, most);
        }
        drop(gone);
        killer.join().unwrap();
        drop(server);
        if round % 2 == 0 {
            // Whoever comes first finds what the killed one left: here another tasktally, else SQLite itself.
            store.tasktally(["list-tasks"]).success();
        }
        let sql = store.sql();
        assert_kept(&sql, &log, &known);
        if round % ROUNDS_A_STORE == ROUNDS_A_STORE - 1 || round + 1 == all {
            store.assert_whole();
            store.tasktally(["verify"]).success();
        }
    }
    println!(
        "{all} servers killed ({by_call} at a call), {acknowledged} writes acknowledged and kept, {repeated} repeated under their keys, none twice"
    );
    assert!(acknowledged > 0 && by_call > 0 && by_call < all);
}
