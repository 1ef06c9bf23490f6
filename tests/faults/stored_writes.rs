//! The writes that a test requested, the replies to them, and the check that a store holds them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::calls::Call;
use crate::support::reply::Reply;
use crate::support::store::Store;

/// Part of the message for a write whose result is unknown.
pub(crate) const UNKNOWN: &str = "may be kept or lost";

/// What a write must leave in the store.
#[derive(Debug, Clone)]
pub(crate) enum ExpectedWrite {
    /// Title.
    Task(String),
    /// Title and number of items.
    Batch(String, u64),
    /// Task id and status.
    Status(String, &'static str),
    /// On a task, perhaps for an item.
    Receipt { task: String, text: String, item: Option<String> },
}

/// All requested writes by process id and request id, and the texts that the store held before.
#[derive(Debug, Default)]
pub(crate) struct RequestedWrites {
    writes: BTreeMap<(u32, u64), ExpectedWrite>,
    before: Vec<String>,
}

/// A write that was acknowledged, with its reply.
#[derive(Debug)]
pub(crate) struct Acknowledged<'a> {
    pub(crate) leaves: &'a ExpectedWrite,
    pub(crate) reply: Value,
}

impl RequestedWrites {
    pub(crate) fn of(all: impl IntoIterator<Item = ((u32, u64), ExpectedWrite)>) -> Self {
        RequestedWrites { writes: all.into_iter().collect(), before: Vec::new() }
    }

    /// The writes that the recorded calls acknowledge, each with the index of its call.
    pub(crate) fn acknowledged(&self, calls: &[Call]) -> Vec<(usize, Acknowledged<'_>)> {
        let mut acknowledged = Vec::new();
        for (index, key, reply) in replies(calls) {
            if let (Some(leaves), true) = (self.writes.get(&key), reply["success"] == true) {
                acknowledged.push((index, Acknowledged { leaves, reply }));
            }
        }
        acknowledged
    }

    /// Leaves out the writes that were refused as not written.
    pub(crate) fn without_refused(mut self, calls: &[Call]) -> Self {
        for (_, key, reply) in replies(calls) {
            if reply["success"] == false && says(&reply, "nothing was") {
                self.writes.remove(&key);
            }
        }
        self
    }

    /// Adds texts that the store held before.
    pub(crate) fn with_existing(mut self, texts: Vec<String>) -> Self {
        self.before = texts;
        self
    }

    /// Asserts that a store opens, passes its checks, and holds every acknowledged write and nothing that was not
    /// requested.
    pub(crate) fn assert_kept(&self, store: &Store, acknowledged: &[&Acknowledged<'_>], when: &str) {
        if !store.file().exists() {
            assert!(acknowledged.is_empty(), "{when}: there is no store");
            return;
        }
        let listed = store.tasktally(["list-tasks"]).finish();
        assert_eq!(listed.code, Some(0), "{when}: {listed:?}");
        let verified = store.tasktally(["verify"]).finish();
        assert_eq!(verified.code, Some(0), "{when}: {verified:?}");
        store.assert_whole();
        let mut server = store.serve();
        let listed = server.call("list_tasks", json!({"limit": 0, "project": ""})).ok();
        assert!(listed["total"].is_u64(), "{when}: {}", listed.value);
        let mut receipts_of: HashMap<&str, Vec<String>> = HashMap::new();
        let sql = store.sqlite();
        let one = |query: &str, id: &str| sql.query_row(query, [id], |row| row.get::<_, String>(0)).ok();
        for Acknowledged { leaves, reply } in acknowledged {
            match leaves {
                ExpectedWrite::Task(title) => {
                    let id = reply["task"]["id"].as_str().unwrap();
                    let kept = one("SELECT title FROM task WHERE id = ?1", id);
                    assert_eq!(kept.as_ref(), Some(title), "{when}: task {id}");
                }
                ExpectedWrite::Batch(title, items) => {
                    let id = reply["batch"]["id"].as_str().unwrap();
                    let kept = one("SELECT title FROM task WHERE id = ?1", id);
                    assert_eq!(kept.as_ref(), Some(title), "{when}: batch {id}");
                    let kept = server.call("get_batch", json!({"id": id})).ok();
                    assert_eq!(kept["batch"]["total"], *items, "{when}: {}", kept.value);
                }
                ExpectedWrite::Status(id, status) => {
                    let kept = one("SELECT status FROM task WHERE id = ?1", id).unwrap_or_default();
                    let rank = |status: &str| {
                        ["active", "in_progress", "done"].iter().position(|known| *known == status)
                    };
                    assert!(rank(&kept) >= rank(status), "{when}: {id} is {kept:?}, not {status}");
                }
                ExpectedWrite::Receipt { task, text, item } => {
                    let number = reply["receipt"]["number"].as_u64().unwrap();
                    let receipts = receipts_of.entry(task).or_insert_with(|| {
                        let found = server.call("get_task", json!({"id": task}));
                        assert!(found.succeeded(), "{when}: {task}: {}", found.value);
                        server.body(task).split("\n\n").map(str::to_owned).collect()
                    });
                    let kept = match item {
                        // The initial text, if there is one, comes before the first receipt.
                        None => receipts.iter().skip(number as usize - 1).take(2).any(|kept| kept == text),
                        Some(key) => {
                            let query = "SELECT outcome FROM item WHERE key = ?1";
                            one(query, key).as_deref() == Some("done")
                                && receipts.iter().any(|kept| kept.contains(text))
                        }
                    };
                    assert!(kept, "{when}: receipt {number} of {task}, '{text:.40}', is not kept");
                }
            }
        }
        drop(server);
        self.assert_nothing_else(store, when);
    }

    /// Asserts that every title and receipt text was requested, and not more often than requested.
    fn assert_nothing_else(&self, store: &Store, when: &str) {
        let mut allowed: HashMap<&str, usize> = HashMap::new();
        for text in
            self.writes.values().filter_map(ExpectedWrite::text).chain(self.before.iter().map(String::as_str))
        {
            *allowed.entry(text).or_default() += 1;
        }
        for text in texts(store) {
            let count = allowed.get_mut(&text[..]).filter(|count| **count > 0);
            *count.unwrap_or_else(|| panic!("{when}: more of '{text:.40}' than was requested")) -= 1;
        }
    }
}

/// Writes that were requested one after the other, and the replies to them.
#[derive(Default)]
pub(crate) struct ReplyLog {
    /// Every write that the store may hold: all but those refused as not written.
    pub(crate) possible: Vec<ExpectedWrite>,
    /// The acknowledged writes and their replies.
    pub(crate) acknowledged: Vec<(ExpectedWrite, Value)>,
    pub(crate) errors: usize,
    /// How many errors left the result unknown.
    pub(crate) unknown: usize,
}

impl ReplyLog {
    /// Records the reply to a write.
    pub(crate) fn record(&mut self, reply: &Reply, leaves: ExpectedWrite) {
        if reply.succeeded() {
            self.possible.push(leaves.clone());
            self.acknowledged.push((leaves, reply.value.clone()));
        } else {
            assert!(reply.is_error, "a failing disk is not reported as an error: {}", reply.value);
            self.record_error(says(reply, UNKNOWN), leaves);
        }
    }

    /// Records a write that failed, perhaps with an unknown result.
    pub(crate) fn record_error(&mut self, is_unknown: bool, leaves: ExpectedWrite) {
        self.errors += 1;
        if is_unknown {
            self.unknown += 1;
            self.possible.push(leaves);
        }
    }

    /// See [`RequestedWrites::assert_kept`].
    pub(crate) fn assert_kept(self, store: &Store, when: &str) {
        let requested = RequestedWrites::of((0..).map(|number| (0, number)).zip(self.possible));
        let acknowledged: Vec<Acknowledged<'_>> = self
            .acknowledged
            .iter()
            .map(|(leaves, reply)| Acknowledged { leaves, reply: reply.clone() })
            .collect();
        requested.assert_kept(store, &acknowledged.iter().collect::<Vec<_>>(), when);
    }
}

/// Every reply of a tool in the recorded calls, with the index of its call, its process id and its request id.
fn replies(calls: &[Call]) -> impl Iterator<Item = (usize, (u32, u64), Value)> {
    calls.iter().enumerate().flat_map(|(index, call)| {
        let Call::Answered { pid, text } = call else { return Vec::new() };
        let parsed = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let replies = parsed.filter_map(|mut answer| {
            let reply = answer["result"]["structuredContent"].take();
            Some((index, (*pid, answer["id"].as_u64()?), reply))
        });
        replies.collect()
    })
}

/// Whether the message of a reply contains these words.
pub(crate) fn says(reply: &Value, words: &str) -> bool {
    reply["message"].as_str().is_some_and(|message| message.contains(words))
}

/// The titles of all tasks and batches, and the texts of all receipts except those that Tasktally itself writes at
/// the end of a batch.
pub(crate) fn texts(store: &Store) -> Vec<String> {
    let sql = store.sqlite();
    let query = "SELECT text FROM receipt WHERE text NOT LIKE 'Batch done: %'
                 UNION ALL SELECT title FROM task WHERE role <> 'chunk'";
    let mut query = sql.prepare(query).unwrap();
    let texts = query.query_map([], |row| row.get(0)).unwrap();
    texts.map(Result::unwrap).collect()
}

impl ExpectedWrite {
    fn text(&self) -> Option<&str> {
        match self {
            ExpectedWrite::Receipt { text, .. }
            | ExpectedWrite::Task(text)
            | ExpectedWrite::Batch(text, _) => Some(text),
            ExpectedWrite::Status(..) => None,
        }
    }
}
