//! One statement with its parameters, and a row of its result.

use std::borrow::Cow;
use std::error::Error as StdError;

use tokio_postgres::Column;
use tokio_postgres::types::{FromSqlOwned, Type};

use super::value::Value;
use crate::error::{Code, Error};
use crate::store::rows::StoredRow;

/// The database's time in milliseconds since 1970.
macro_rules! database_time {
    () => {
        "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}
pub(super) use database_time;

/// A statement with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value>,
}

impl Statement {
    /// A statement without parameters.
    pub(super) fn plain(sql: impl Into<Cow<'static, str>>) -> Self {
        Statement { sql: sql.into(), values: Vec::new() }
    }

    /// A statement with parameters.
    pub(super) fn with(sql: impl Into<Cow<'static, str>>, values: Vec<Value>) -> Self {
        Statement { sql: sql.into(), values }
    }

    /// Whether PostgreSQL plans the statement: a command such as COMMIT has no plan.
    pub(super) fn is_worth_preparing(&self) -> bool {
        !self.values.is_empty() || self.sql.starts_with("SELECT")
    }
}

/// A row of a result.
pub(super) struct Row(pub(super) tokio_postgres::Row);

impl Row {
    fn column<T: FromSqlOwned>(&self, column: usize) -> Result<T, Error> {
        self.0.try_get(column).map_err(|error| Row::invalid(column, Box::new(error)))
    }

    /// Bytes, or `None` for NULL.
    pub(super) fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>, Error> {
        self.column(column)
    }

    /// A hash, or `None` for NULL.
    pub(super) fn hash(&self, column: usize) -> Result<Option<[u8; 32]>, Error> {
        let Some(bytes) = self.bytes(column)? else { return Ok(None) };
        let hash = <[u8; 32]>::try_from(bytes.as_slice());
        hash.map(Some).map_err(|error| Row::invalid(column, Box::new(error)))
    }
}

impl StoredRow for Row {
    type Error = Error;

    fn number(&self, column: usize) -> Result<Option<i64>, Error> {
        match self.0.columns().get(column).map(Column::type_) {
            Some(&Type::INT4) => Ok(self.column::<Option<i32>>(column)?.map(i64::from)),
            Some(&Type::BOOL) => Ok(self.column::<Option<bool>>(column)?.map(i64::from)),
            _ => self.column(column),
        }
    }

    fn text(&self, column: usize) -> Result<Option<String>, Error> {
        self.column(column)
    }

    fn invalid(column: usize, cause: Box<dyn StdError + Send + Sync>) -> Error {
        Error::new(Code::Internal, format!("column {column} of the store's answer cannot be read: {cause}"))
    }
}
