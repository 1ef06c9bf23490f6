//! Which queries follow each other. A client that polls asks the same questions again, and operations ask about a task in the
//! same order: the queries that followed a query the last time are sent together with it, so that a transaction waits less
//! often. A wrong guess costs the database a query and changes no result.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::store::postgres::statement::Statement;

/// How many queries are remembered with those that follow them.
const MAX_FIRST: usize = 512;
/// How many queries are sent together.
const MAX_FOLLOWING: usize = 48;

/// The queries that followed others, over all transactions of this process.
#[derive(Default)]
pub(in crate::store::postgres) struct Predictions {
    following: Mutex<HashMap<(&'static str, Statement), Vec<Statement>>>,
}

impl Predictions {
    /// The queries that followed this one the last time, at the same place in the program and before anything was written.
    pub(super) fn after(&self, name: &'static str, first: &Statement) -> Vec<Statement> {
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        following.get(&(name, first.clone())).cloned().unwrap_or_default()
    }

    /// Guesses nothing after this query until the next transaction has asked it.
    pub(super) fn forget(&self, name: &'static str, first: &Statement) {
        self.following.lock().unwrap_or_else(PoisonError::into_inner).remove(&(name, first.clone()));
    }

    /// Remembers the queries that followed the first of these.
    pub(super) fn learn(&self, name: &'static str, mut asked: Vec<Statement>) {
        if asked.is_empty() {
            return;
        }
        let first = (name, asked.remove(0));
        asked.truncate(MAX_FOLLOWING);
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        if following.len() >= MAX_FIRST && !following.contains_key(&first) {
            following.clear();
        }
        following.insert(first, asked);
    }
}
