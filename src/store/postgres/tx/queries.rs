//! Queries of a transaction, and the results that it keeps.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use super::Tx;
use super::tables::may_read;
use crate::error::{Error, Result};
use crate::store::postgres::connection::Results;
use crate::store::postgres::statement::{Row, Statement};
use crate::store::postgres::value::Value;

/// The results of how many queries are kept: `verify` reads the whole store in one transaction.
const MAX_KEPT: usize = 256;

/// Results of queries that are still true.
#[derive(Default)]
pub(super) struct KeptResults {
    rows: HashMap<Statement, Rc<Vec<Row>>>,
    /// The queries since the last write, in their order.
    asked: Vec<Statement>,
}

impl Tx<'_> {
    /// Forgets the results of queries that may read these tables. The queries that come now follow a write.
    pub(super) fn forget_results_of(&self, tables: &[&str]) {
        let mut results = self.results.borrow_mut();
        self.predictions.learn(self.name.get(), std::mem::take(&mut results.asked));
        results.rows.retain(|query, _| !tables.iter().any(|table| may_read(&query.sql, table)));
    }

    /// Forgets all results of queries.
    pub(super) fn forget_results(&self) {
        let mut results = self.results.borrow_mut();
        self.predictions.learn(self.name.get(), std::mem::take(&mut results.asked));
        results.rows.clear();
    }

    /// The rows of a query, which may have been read before.
    fn query(&self, query: Statement) -> Result<Rc<Vec<Row>>> {
        debug_assert!(!query.sql.contains("RETURNING"), "a statement that writes is no query: {}", query.sql);
        let known = self.results.borrow().rows.get(&query).cloned();
        if let Some(known) = known {
            self.results.borrow_mut().asked.push(query);
            return Ok(known);
        }
        if self.results.borrow().asked.len() >= MAX_KEPT {
            self.forget_results();
        }
        let is_first = self.results.borrow().asked.is_empty();
        let mut queries = vec![query.clone()];
        if is_first {
            queries.extend(self.predictions.after(self.name.get(), &query));
        }
        // A query that was only guessed may be the one that failed.
        let forget = |_: &Error| self.predictions.forget(self.name.get(), &query);
        self.ask(queries).inspect_err(forget)?;
        let mut results = self.results.borrow_mut();
        let rows = results.rows.get(&query).cloned().unwrap_or_default();
        results.asked.push(query);
        Ok(rows)
    }

    /// Sends queries and keeps their results.
    fn ask(&self, queries: Vec<Statement>) -> Result<()> {
        let answers = self.exchange(queries.clone())?;
        self.keep_results(queries, answers);
        Ok(())
    }

    /// Keeps the results of queries.
    pub(super) fn keep_results(&self, queries: Vec<Statement>, answers: Results) {
        let answers = queries.into_iter().zip(answers.into_iter().map(Rc::new));
        self.results.borrow_mut().rows.extend(answers);
    }

    /// All rows of a query, mapped.
    pub(in crate::store::postgres) fn all<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
        map: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.query(Statement::with(sql, values))?.iter().map(map).collect()
    }

    /// The first row of a query, mapped.
    pub(in crate::store::postgres) fn first<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
        map: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        self.query(Statement::with(sql, values))?.first().map(map).transpose()
    }
}
