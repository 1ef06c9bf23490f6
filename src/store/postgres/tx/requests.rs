//! Writes of a transaction, and the requests that make them: what a refused request wrote is taken back, and the other
//! requests of its group go on.

use std::borrow::Cow;

use super::{Change, Counters, Tx};
use crate::error::Result;
use crate::model::task::RowId;
use crate::store::Subject;
use crate::store::postgres::statement::Statement;
use crate::store::postgres::value::Value;

/// A request that shares its transaction with others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    /// How many writes wait that were made before it.
    start: usize,
    /// Whether a savepoint precedes its writes. It is only necessary if some of them are sent before the request has ended.
    is_protected: bool,
    /// The numbers that were given before it.
    given: Option<Counters>,
}

impl Change {
    /// The tables that the change writes, by itself or by a trigger.
    fn tables(&self) -> &'static [&'static str] {
        match self {
            Change::Receipt(_) => &["receipt", "task"],
            Change::BatchReceipt { .. } => &["batch_receipt"],
            Change::Touch { .. } => &["task"],
            Change::Cost { .. } => &["cost_total"],
            Change::Settle { .. } | Change::Start { .. } => &["item"],
            Change::Count { .. } => &["chunk", "batch"],
            Change::Category { .. } => &["category_count"],
        }
    }
}

impl Tx<'_> {
    /// Says what the requests are about that will run, in their order. The rows are loaded with the first exchange.
    pub(in crate::store::postgres) fn announce(&self, subjects: Vec<Subject>) {
        *self.subjects.borrow_mut() = subjects.into_iter().rev().collect();
        self.load_subjects();
    }

    /// Names the place in the program whose queries come now.
    pub(in crate::store::postgres) fn set_name(&self, name: &'static str) {
        self.forget_results_of(&[]);
        self.name.set(name);
    }

    /// Begins a request of a group.
    pub(in crate::store::postgres) fn begin_request(&self) {
        let start = self.pending.borrow().len();
        self.request.set(Some(Request { start, is_protected: false, given: self.counters.get() }));
    }

    /// Keeps what the request wrote.
    pub(in crate::store::postgres) fn keep_request(&self) {
        self.flush_new_items();
        if self.request.take().is_some_and(|request| request.is_protected) {
            self.pending.borrow_mut().push(Statement::plain("RELEASE SAVEPOINT request"));
        }
        self.subjects.borrow_mut().pop();
    }

    /// Takes back what the request wrote.
    pub(in crate::store::postgres) fn undo_request(&self) {
        self.new_items.borrow_mut().clear();
        self.subjects.borrow_mut().pop();
        let Some(request) = self.request.take() else { return };
        self.counters.set(request.given);
        let mut pending = self.pending.borrow_mut();
        if !request.is_protected && pending.len() == request.start {
            return;
        }
        pending.truncate(request.start);
        if request.is_protected {
            pending.push(Statement::plain("ROLLBACK TO SAVEPOINT request"));
            pending.push(Statement::plain("RELEASE SAVEPOINT request"));
        }
        drop(pending);
        self.forget_everything();
    }

    /// Sets a savepoint before the writes of the request, which are about to be sent. `writes` says whether one follows that
    /// does not wait among them.
    pub(super) fn protect_request(&self, writes: bool) {
        self.flush_new_items();
        let Some(mut request) = self.request.get() else { return };
        let mut pending = self.pending.borrow_mut();
        if !request.is_protected && (writes || pending.len() > request.start) {
            pending.insert(request.start, Statement::plain("SAVEPOINT request"));
            request.is_protected = true;
        }
        // All writes are sent now.
        request.start = 0;
        self.request.set(Some(request));
    }

    /// What was read may no longer be true.
    fn forget_everything(&self) {
        self.forget_results();
        self.entities.borrow_mut().clear();
        self.load_subjects();
    }

    /// Has the next exchange load what the next requests are about.
    fn load_subjects(&self) {
        self.loads_subjects.set(self.subjects.borrow().iter().any(|subject| subject.task.is_some()));
    }

    /// Sends a statement with the next query or the commit. Nothing that was read before is used after it.
    pub(in crate::store::postgres) fn write(&self, sql: impl Into<Cow<'static, str>>, values: Vec<Value>) {
        self.forget_everything();
        self.flush_new_items();
        self.pending.borrow_mut().push(Statement::with(sql, values));
    }

    /// The same for a statement that writes these tables only, by itself or by a trigger. The caller changes the kept rows
    /// in the same way.
    pub(in crate::store::postgres) fn write_known(&self, tables: &[&str], statement: Statement) {
        self.forget_results_of(tables);
        self.flush_new_items();
        self.pending.borrow_mut().push(statement);
    }

    /// Makes a change with the next query or the commit. The caller changes the kept rows in the same way.
    pub(in crate::store::postgres) fn change(&self, change: Change) {
        self.forget_results_of(change.tables());
        self.flush_new_items();
        self.pending.borrow_mut().push_change(change);
    }

    /// Adds an item to those that are inserted with the next query or the commit.
    ///
    /// # Errors
    /// If many were added and the database refuses them.
    pub(in crate::store::postgres) fn write_item(
        &self,
        batch: RowId,
        chunk: RowId,
        position: u64,
        key: &str,
        fields: &str,
    ) -> Result<()> {
        self.forget_everything();
        self.new_items.borrow_mut().push(batch, chunk, position, key, fields);
        self.flush_if_large()
    }

    /// Adds the statements that insert the collected items.
    fn flush_new_items(&self) {
        let statements = self.new_items.borrow_mut().take();
        let mut pending = self.pending.borrow_mut();
        statements.into_iter().for_each(|statement| pending.push(statement));
    }

    /// Sends what was kept if it has become large.
    fn flush_if_large(&self) -> Result<()> {
        const MANY: usize = 20_000;
        if self.new_items.borrow().inserted() < MANY {
            return Ok(());
        }
        self.new_items.borrow_mut().forget_inserted();
        self.exchange(Vec::new()).map(|_| ())
    }

    /// Runs a statement that writes and returns rows, and returns how many.
    pub(in crate::store::postgres) fn count_written(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<usize> {
        self.forget_everything();
        self.protect_request(true);
        let mut results = self.exchange(vec![Statement::with(sql, values)])?;
        Ok(results.pop().unwrap_or_default().len())
    }

    /// Sends a statement that has to change exactly one row: otherwise the transaction fails with this message.
    pub(in crate::store::postgres) fn write_one(
        &self,
        message: String,
        sql: &'static str,
        values: Vec<Value>,
    ) {
        let Statement { sql, values } = must_change_one(message, sql, values);
        self.write(sql, values);
    }
}

/// A statement that has to change exactly one row: otherwise the transaction fails with this message.
pub(in crate::store::postgres) fn must_change_one(
    message: String,
    sql: &'static str,
    mut values: Vec<Value>,
) -> Statement {
    values.push(Value::Text(Some(message)));
    let sql = format!(
        "WITH changed AS ({sql} RETURNING 1) SELECT refuse_unless(count(*) = 1, ${}) FROM changed",
        values.len()
    );
    Statement::with(sql, values)
}
