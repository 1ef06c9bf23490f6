//! A client that repeats a call until it is carried out, what was acknowledged to it, and whether the store has kept it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::background::item_keys;
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::sql::Sql;
use crate::support::store::Store;

/// Takes the lock with which each write transaction begins, for the connection.
pub(crate) const LOCK_STORE: &str =
    "SELECT pg_advisory_lock(hashtextextended('tasktally.' || current_schema(), 0))";

/// The number of items in a chunk.
const ITEMS: usize = 2;
/// The number of items in a batch.
const BATCH: usize = 8;

/// A client with a server of its own. If the server ends, the client starts another one.
pub(crate) struct PatientClient<'a> {
    store: &'a Store,
    name: String,
    server: Server,
    /// The process id of the server while it may be killed.
    pid: &'a Mutex<Option<u32>>,
    serial: u64,
    pub(crate) acknowledged: Acknowledged,
}

/// What a client was told.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Receipts: task, number and text.
    pub(crate) receipts: Vec<(String, u64, String)>,
    pub(crate) completed: Vec<String>,
    /// The errors that calls got, without numbers, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) restarts: u64,
    /// The longest time until a call was carried out, with its repetitions.
    pub(crate) longest: Duration,
}

impl<'a> PatientClient<'a> {
    pub(crate) fn new(store: &'a Store, name: String, pid: &'a Mutex<Option<u32>>) -> Self {
        let server = store.serve();
        *pid.lock().unwrap() = Some(server.pid());
        PatientClient { store, name, server, pid, serial: 0, acknowledged: Acknowledged::default() }
    }

    /// Calls a tool until the call is carried out or declined.
    fn call(&mut self, tool: &str, arguments: &Value) -> Reply {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let id = self.server.send(tool, arguments.clone());
            match self.server.recv(id) {
                Some(reply) if !reply.is_error => {
                    self.acknowledged.longest = self.acknowledged.longest.max(started.elapsed());
                    return reply;
                }
                Some(reply) => {
                    let error = without_numbers(&format!("{}: {}", reply.code(), reply.message()));
                    *self.acknowledged.errors.entry(error).or_default() += 1;
                }
                None => self.restart(),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{tool} failed for {PATIENCE:?}: {arguments} {:?}", self.acknowledged.errors)
    }

    fn restart(&mut self) {
        self.acknowledged.restarts += 1;
        loop {
            // The process id is free for another process as soon as the old server is dropped.
            *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.server = self.store.server(&[]);
            self.server.start_reading();
            *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.server.pid());
            if self.server.try_initialize() {
                return;
            }
        }
    }

    /// Writes a receipt with a request key, sometimes twice.
    fn append(&mut self, task: &str, mut arguments: Value) {
        self.serial += 1;
        let text = format!("- {} {}", self.name, self.serial);
        arguments["id"] = task.into();
        arguments["body"] = text.clone().into();
        arguments["request_key"] = text.clone().into();
        let number = self.call("update_task", &arguments).ok().count("/receipt/number");
        if self.serial.is_multiple_of(5) {
            let again = self.call("update_task", &arguments).ok();
            assert_eq!(again.count("/receipt/number"), number, "{}", again.value);
        }
        self.acknowledged.receipts.push((task.to_owned(), number, text));
    }

    /// Claims a chunk, settles its items, reads and completes it, and adds a line to a log that all clients write to.
    pub(crate) fn work(&mut self, log: &str, batch: &mut String) {
        let claimed = self.call("claim_task", &json!({"batch": batch, "worker": self.name}));
        if !claimed.succeeded() {
            assert_eq!(claimed.declined(), "nothing_to_claim");
            *batch = self.create_batch();
            return;
        }
        let (chunk, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
        for item in claimed["items"].as_array().unwrap() {
            self.append(&chunk, json!({"claim": token, "item": item["key"], "outcome": "done"}));
        }
        self.append(log, json!({}));
        self.call("get_task", &json!({"id": chunk})).ok();
        self.call("complete_task", &json!({"id": chunk, "claim": token})).ok();
        self.acknowledged.completed.push(chunk);
    }

    /// Creates a batch under a request key. Returns its id.
    pub(crate) fn create_batch(&mut self) -> String {
        self.serial += 1;
        let key = format!("batch {} {}", self.name, self.serial);
        let plan = json!({"title": key, "instructions": "x", "items": item_keys(BATCH), "max_chunk": ITEMS,
            "request_key": key});
        self.call("create_batch", &plan).ok().text("/batch/id")
    }
}

/// A message without the numbers that differ from one time to the next.
fn without_numbers(message: &str) -> String {
    let mut text = String::new();
    for letter in message.chars() {
        match letter {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            other => text.push(other),
        }
    }
    text
}

/// The receipts of a task, which are numbered from 1 without gaps.
#[track_caller]
pub(crate) fn receipts(sql: &Sql, task: &str) -> Vec<String> {
    let rows: Vec<(u64, String)> = sql.rows(
        "SELECT number, text FROM receipt WHERE task = (SELECT row_id FROM task WHERE id = ?1) ORDER BY number",
        &[&task],
    );
    let numbers: Vec<u64> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=rows.len() as u64).collect::<Vec<_>>(), "the receipts of {task}");
    rows.into_iter().map(|(_, text)| text).collect()
}

/// Asserts that everything acknowledged is stored, that nothing is there twice, and that `verify` finds no error.
pub(crate) fn assert_kept<'a>(store: &Store, all: impl IntoIterator<Item = &'a Acknowledged>) {
    let sql = store.sql();
    let (mut stored, mut completed, mut kept) = (BTreeMap::new(), BTreeSet::new(), 0);
    for acknowledged in all {
        for (task, number, text) in &acknowledged.receipts {
            let texts = stored.entry(task.clone()).or_insert_with(|| receipts(&sql, task));
            assert_eq!(texts.get(*number as usize - 1), Some(text), "receipt {number} of {task}");
            kept += 1;
        }
        for task in &acknowledged.completed {
            assert!(completed.insert(task.clone()), "{task} was completed by two workers");
            assert_eq!(sql.row::<String>("SELECT status FROM task WHERE id = ?1", &[task]), "done", "{task}");
        }
    }
    let twice: Vec<String> =
        sql.rows("SELECT text FROM receipt WHERE text LIKE '- %' GROUP BY text HAVING count(*) > 1", &[]);
    assert!(twice.is_empty(), "written twice: {twice:?}");
    let batches = "SELECT title FROM task WHERE role = 'batch' GROUP BY title HAVING count(*) > 1";
    let twice: Vec<String> = sql.rows(batches, &[]);
    assert!(twice.is_empty(), "created twice: {twice:?}");
    assert!(kept > 0, "nothing was acknowledged");
    store.tasktally(["verify"]).success();
}
