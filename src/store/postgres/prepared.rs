//! Statements that a connection has prepared: PostgreSQL parses and plans them once. Planning takes it longer than executing
//! most of them.
//!
//! Only a connection to the server itself prepares statements. A pooler gives one client the connection of another, where the
//! same name stands for another statement.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Statement as Prepared};
use uuid::Uuid;

use super::statement::Statement;

/// How many statements a connection keeps: the server has memory for each.
const MAX_STATEMENTS: usize = 256;
/// From which use on a statement is prepared.
const WORTH_PREPARING: u32 = 2;

/// What is known of a statement.
enum Known {
    /// How often it was used, and the types of its parameters.
    Used(u32, Vec<Type>),
    /// It is being prepared.
    Awaited,
    Ready(Prepared),
}

/// The statements of a connection to the server itself, by their text.
#[derive(Default)]
pub(super) struct PreparedStatements(Mutex<HashMap<String, Known>>);

impl PreparedStatements {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The prepared statement for this one, if there is one.
    pub(super) fn find(&self, statement: &Statement) -> Option<Prepared> {
        let mut known = self.lock();
        let has_room = known.len() < MAX_STATEMENTS;
        match known.get_mut(statement.sql.as_ref()) {
            Some(Known::Ready(prepared)) => return Some(prepared.clone()),
            Some(Known::Used(count, _)) => *count += 1,
            Some(Known::Awaited) => {}
            None if has_room && statement.is_worth_preparing() => {
                let types = statement.values.iter().map(super::value::Value::sql_type).collect();
                known.insert(statement.sql.clone().into_owned(), Known::Used(1, types));
            }
            None => {}
        }
        None
    }

    /// Prepares the statements that were used often enough. The calls of this connection that follow wait for it.
    pub(super) async fn prepare_used(&self, client: &Client) {
        let mut wanted = Vec::new();
        for (sql, known) in self.lock().iter_mut() {
            if let Known::Used(count, types) = known
                && *count >= WORTH_PREPARING
            {
                wanted.push((sql.clone(), std::mem::take(types)));
                *known = Known::Awaited;
            }
        }
        for (sql, types) in wanted {
            match client.prepare_typed(&sql, &types).await {
                Ok(prepared) => {
                    self.lock().insert(sql, Known::Ready(prepared));
                }
                // It is executed unprepared, as before.
                Err(error) => tracing::debug!(%error, "a statement could not be prepared"),
            }
        }
    }
}

/// A setting that the server has only if it got the options of this connection itself.
pub(super) struct Probe {
    value: String,
}

impl Probe {
    /// A probe with a random value.
    pub(super) fn new() -> Self {
        Probe { value: Uuid::now_v7().simple().to_string() }
    }

    /// The options of the connection with the setting.
    pub(super) fn options(&self, options: Option<&str>) -> String {
        format!("{} -c tasktally.connection={}", options.unwrap_or_default(), self.value)
    }

    /// Whether the server has the setting, so no pooler stands between.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub(super) async fn is_known_to(&self, client: &Client) -> Result<bool, Error> {
        let rows = client.query_typed("SELECT current_setting('tasktally.connection', true)", &[]).await?;
        let value: Option<String> = rows.first().and_then(|row| row.try_get(0).ok().flatten());
        Ok(value.as_deref() == Some(&self.value))
    }
}
