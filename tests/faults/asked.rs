//! What was asked of servers, what they answered, and whether a store has kept it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::calls::Call;
use crate::support::reply::Reply;
use crate::support::store::Store;

/// How a write is refused of which nobody knows.
pub(crate) const UNKNOWN: &str = "may be kept or lost";

/// What a write is to leave in the store.
#[derive(Debug, Clone)]
pub(crate) enum Leaves {
    Task(String),
    /// With how many items.
    Batch(String, u64),
    Status(String, &'static str),
    /// On a task; for an item, where one is named.
    Receipt {
        task: String,
        text: String,
        item: Option<String>,
    },
}

/// What was asked, by process and request.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    writes: BTreeMap<(u32, u64), Leaves>,
    before: Vec<String>,
}

/// What was acknowledged.
#[derive(Debug)]
pub(crate) struct Acknowledged<'a> {
    pub(crate) leaves: &'a Leaves,
    pub(crate) reply: Value,
}

impl Asked {
    pub(crate) fn of(all: impl IntoIterator<Item = ((u32, u64), Leaves)>) -> Self {
        Asked { writes: all.into_iter().collect(), before: Vec::new() }
    }

    /// What the calls acknowledged, each with the number of its call.
    pub(crate) fn acknowledged(&self, calls: &[Call]) -> Vec<(usize, Acknowledged<'_>)> {
        let mut acknowledged = Vec::new();
        for (at, key, reply) in answers(calls) {
            if let (Some(leaves), true) = (self.writes.get(&key), reply["success"] == true) {
                acknowledged.push((at, Acknowledged { leaves, reply }));
            }
        }
        acknowledged
    }

    /// Takes back what was answered as not written.
    pub(crate) fn without_refused(mut self, calls: &[Call]) -> Self {
        for (_, key, reply) in answers(calls) {
            if reply["success"] == false && says(&reply, "nothing was") {
                self.writes.remove(&key);
            }
        }
        self
    }

    /// With texts that were there before.
    pub(crate) fn beside(mut self, texts: Vec<String>) -> Self {
        self.before = texts;
        self
    }

    /// Fails unless a store opens, is whole, holds all that was acknowledged and nothing that wasn't asked.
    pub(crate) fn assert_kept(&self, store: &Store, acknowledged: &[&Acknowledged<'_>], when: &str) {
        assert!(store.file().exists() || acknowledged.is_empty(), "{when}: there is no store");
        // A store that is not there yet is made.
        let listed = store.tasktally(["list-tasks"]).finish();
        assert_eq!(listed.code, Some(0), "{when}: {listed:?}");
        let verified = store.tasktally(["verify"]).finish();
        assert_eq!(verified.code, Some(0), "{when}: {verified:?}");
        store.assert_whole();
        let mut server = store.serve();
        let listed = server.call("list_tasks", json!({"limit": 0, "project": ""})).ok();
        assert!(listed["total"].is_u64(), "{when}: {}", listed.value);
        let mut bodies: HashMap<&str, Vec<String>> = HashMap::new();
        let sql = store.sql();
        let one = |query: &str, id: &str| sql.query_row(query, [id], |row| row.get::<_, String>(0)).ok();
        for Acknowledged { leaves, reply } in acknowledged {
            match leaves {
                Leaves::Task(title) => {
                    let id = reply["task"]["id"].as_str().unwrap();
                    let kept = one("SELECT title FROM task WHERE id = ?1", id);
                    assert_eq!(kept.as_ref(), Some(title), "{when}: task {id}");
                }
                Leaves::Batch(title, items) => {
                    let id = reply["batch"]["id"].as_str().unwrap();
                    let kept = one("SELECT title FROM task WHERE id = ?1", id);
                    assert_eq!(kept.as_ref(), Some(title), "{when}: batch {id}");
                    let kept = server.call("get_batch", json!({"id": id})).ok();
                    assert_eq!(kept["batch"]["total"], *items, "{when}: {}", kept.value);
                }
                Leaves::Status(id, status) => {
                    let kept = one("SELECT status FROM task WHERE id = ?1", id).unwrap_or_default();
                    let rank = |status: &str| {
                        ["active", "in_progress", "done"].iter().position(|known| *known == status)
                    };
                    assert!(rank(&kept) >= rank(status), "{when}: {id} is {kept:?}, not {status}");
                }
                Leaves::Receipt { task, text, item } => {
                    let number = reply["receipt"]["number"].as_u64().unwrap();
                    let receipts = bodies.entry(task).or_insert_with(|| {
                        let found = server.call("get_task", json!({"id": task}));
                        assert!(found.won(), "{when}: {task}: {}", found.value);
                        server.body(task).split("\n\n").map(str::to_owned).collect()
                    });
                    let kept = match item {
                        // An opening text comes before the first.
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
        self.assert_only_asked(store, when);
    }

    fn assert_only_asked(&self, store: &Store, when: &str) {
        let mut left: HashMap<&str, usize> = HashMap::new();
        for text in
            self.writes.values().filter_map(Leaves::text).chain(self.before.iter().map(String::as_str))
        {
            *left.entry(text).or_default() += 1;
        }
        for text in texts(store) {
            let count = left.get_mut(&text[..]).filter(|count| **count > 0);
            *count.unwrap_or_else(|| panic!("{when}: more of '{text:.40}' than was asked")) -= 1;
        }
    }
}

/// What was asked for over a faulty disk, one thing after the other, and was told.
#[derive(Default)]
pub(crate) struct Told {
    /// Whatever may be there: all but what was told as not written.
    pub(crate) asked: Vec<Leaves>,
    pub(crate) kept: Vec<(Leaves, Value)>,
    pub(crate) errors: usize,
    pub(crate) unknown: usize,
}

impl Told {
    /// Takes note of a write's reply.
    pub(crate) fn note(&mut self, reply: &Reply, leaves: Leaves) {
        if reply.won() {
            self.asked.push(leaves.clone());
            self.kept.push((leaves, reply.value.clone()));
        } else {
            assert!(reply.is_error, "a disk that fails is an error: {}", reply.value);
            self.refused(says(reply, UNKNOWN), leaves);
        }
    }

    /// Takes note of a write that was refused, perhaps as one of which nobody knows.
    pub(crate) fn refused(&mut self, is_unknown: bool, leaves: Leaves) {
        self.errors += 1;
        if is_unknown {
            self.unknown += 1;
            self.asked.push(leaves);
        }
    }

    /// See [`Asked::assert_kept`].
    pub(crate) fn assert_kept(self, store: &Store, when: &str) {
        let asked = Asked::of((0..).map(|number| (0, number)).zip(self.asked));
        let kept: Vec<Acknowledged<'_>> =
            self.kept.iter().map(|(leaves, reply)| Acknowledged { leaves, reply: reply.clone() }).collect();
        asked.assert_kept(store, &kept.iter().collect::<Vec<_>>(), when);
    }
}

/// Every reply of a tool, with the number of its call, its process and its request.
fn answers(calls: &[Call]) -> impl Iterator<Item = (usize, (u32, u64), Value)> {
    calls.iter().enumerate().flat_map(|(at, call)| {
        let Call::Answered { pid, text } = call else { return Vec::new() };
        let parsed = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let replies = parsed.filter_map(|mut answer| {
            let reply = answer["result"]["structuredContent"].take();
            Some((at, (*pid, answer["id"].as_u64()?), reply))
        });
        replies.collect()
    })
}

/// Whether a reply's message has these words in it.
pub(crate) fn says(reply: &Value, words: &str) -> bool {
    reply["message"].as_str().is_some_and(|message| message.contains(words))
}

/// The titles of all tasks and batches, and the texts of all receipts that somebody wrote: a batch's
/// end is told by Tasktally itself.
pub(crate) fn texts(store: &Store) -> Vec<String> {
    let sql = store.sql();
    let query = "SELECT text FROM receipt WHERE text NOT LIKE 'Batch done: %'
                 UNION ALL SELECT title FROM task WHERE role <> 'chunk'";
    let mut query = sql.prepare(query).unwrap();
    let texts = query.query_map([], |row| row.get(0)).unwrap();
    texts.map(Result::unwrap).collect()
}

impl Leaves {
    fn text(&self) -> Option<&str> {
        match self {
            Leaves::Receipt { text, .. } | Leaves::Task(text) | Leaves::Batch(text, _) => Some(text),
            Leaves::Status(..) => None,
        }
    }
}
