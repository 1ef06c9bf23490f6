//! A plain connection to a store, beside the program: SQLite or PostgreSQL.
//!
//! Statements are written once, with `?1` as SQLite writes parameters; PostgreSQL reads them as `$1`. What only SQLite
//! has (PRAGMA, its list of tables) is for [`super::store::Store::sqlite`].

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Write as _;

use postgres::SimpleQueryMessage;
use postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use rusqlite::types::{Null, ToSqlOutput, Value as SqliteValue, ValueRef};

use super::values::{FromRow, ToValue, Value};

/// An open connection.
pub(crate) enum Sql {
    Sqlite(rusqlite::Connection),
    Postgres(Box<RefCell<postgres::Client>>),
}

impl Sql {
    /// A connection to a PostgreSQL database.
    pub(crate) fn postgres(client: postgres::Client) -> Self {
        Sql::Postgres(Box::new(RefCell::new(client)))
    }

    /// Runs one statement. Returns how many rows it changed.
    ///
    /// # Errors
    /// The message of the database.
    pub(crate) fn execute(&self, text: &str, parameters: &[&dyn ToValue]) -> Result<u64, String> {
        let values: Vec<Value> = parameters.iter().map(|parameter| parameter.to_value()).collect();
        match self {
            Sql::Sqlite(connection) => {
                let changed = connection.execute(text, rusqlite::params_from_iter(values));
                changed.map(|count| count as u64).map_err(|error| error.to_string())
            }
            Sql::Postgres(client) => {
                client.borrow_mut().execute(&numbered(text), &borrowed(&values)).map_err(message)
            }
        }
    }

    /// Runs several statements without parameters. Returns how many rows they changed.
    ///
    /// # Errors
    /// The message of the database.
    pub(crate) fn execute_all(&self, text: &str) -> Result<u64, String> {
        match self {
            Sql::Sqlite(connection) => {
                let before = connection.total_changes();
                connection.execute_batch(text).map_err(|error| error.to_string())?;
                Ok(connection.total_changes() - before)
            }
            Sql::Postgres(client) => {
                let answers = client.borrow_mut().simple_query(text).map_err(message)?;
                let changed = answers.iter().map(|answer| match answer {
                    SimpleQueryMessage::CommandComplete(rows) => *rows,
                    _ => 0,
                });
                Ok(changed.sum())
            }
        }
    }

    /// All rows of a query: a value, a tuple of values, or a `Vec<Value>` for each.
    #[track_caller]
    pub(crate) fn rows<R: FromRow>(&self, text: &str, parameters: &[&dyn ToValue]) -> Vec<R> {
        let rows = self.try_rows(text, parameters).unwrap_or_else(|error| panic!("{text}: {error}"));
        rows.into_iter().map(R::from_row).collect()
    }

    /// The only row of a query.
    #[track_caller]
    pub(crate) fn row<R: FromRow>(&self, text: &str, parameters: &[&dyn ToValue]) -> R {
        let mut rows = self.rows(text, parameters);
        assert_eq!(rows.len(), 1, "rows of {text}");
        rows.remove(0)
    }

    /// The names of all tables except virtual ones.
    pub(crate) fn tables(&self) -> Vec<String> {
        let names = match self {
            Sql::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
            }
            Sql::Postgres(_) => {
                "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
            }
        };
        self.rows(names, &[])
    }

    fn try_rows(&self, text: &str, parameters: &[&dyn ToValue]) -> Result<Vec<Vec<Value>>, String> {
        let values: Vec<Value> = parameters.iter().map(|parameter| parameter.to_value()).collect();
        match self {
            Sql::Sqlite(connection) => {
                let read = || {
                    let mut statement = connection.prepare_cached(text)?;
                    let width = statement.column_count();
                    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
                        (0..width).map(|at| row.get::<_, SqliteValue>(at).map(Value::from)).collect()
                    });
                    rows?.collect::<rusqlite::Result<_>>()
                };
                read().map_err(|error| error.to_string())
            }
            Sql::Postgres(client) => {
                let rows = client.borrow_mut().query(&numbered(text), &borrowed(&values)).map_err(message)?;
                let read = |row: &postgres::Row| (0..row.len()).map(|at| row.try_get(at)).collect();
                rows.iter().map(read).collect::<Result<_, _>>().map_err(message)
            }
        }
    }
}

/// The statement with parameters as PostgreSQL writes them: `$1` for `?1`. Question marks in quotes stay.
pub(crate) fn numbered(text: &str) -> String {
    let (mut numbered, mut quoted) = (String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        quoted ^= letter == '\'';
        let parameter = letter == '?' && !quoted && letters.peek().is_some_and(char::is_ascii_digit);
        numbered.push(if parameter { '$' } else { letter });
    }
    numbered
}

fn borrowed(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// What PostgreSQL wrote; the error itself is displayed as "db error".
pub(crate) fn message(error: postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

impl From<SqliteValue> for Value {
    fn from(value: SqliteValue) -> Self {
        match value {
            SqliteValue::Null => Value::Null,
            SqliteValue::Integer(number) => Value::Integer(number),
            SqliteValue::Real(number) => Value::Real(number),
            SqliteValue::Text(text) => Value::Text(text),
            SqliteValue::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::from(Null),
            Value::Integer(number) => ToSqlOutput::from(*number),
            Value::Real(number) => ToSqlOutput::from(*number),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

type ConversionError = Box<dyn Error + Sync + Send>;

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, ConversionError> {
        Ok(match *kind {
            Type::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Type::INT2 => Value::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::NUMERIC => Value::Integer(whole_number(raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA | Type::TS_VECTOR => Value::Blob(raw.to_vec()),
            _ => Value::Text(std::str::from_utf8(raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, ConversionError> {
        Ok(Value::Null)
    }

    fn accepts(kind: &Type) -> bool {
        let known = [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::NUMERIC,
            Type::FLOAT8,
            Type::BYTEA,
            Type::TS_VECTOR,
        ];
        known.contains(kind) || <&str as FromSql>::accepts(kind)
    }
}

/// A NUMERIC without decimals, as `sum` of a bigint returns it: a header of four 16-bit numbers (count of digits, weight
/// of the first, sign, scale), then digits of base 10,000.
fn whole_number(raw: &[u8]) -> Result<i64, ConversionError> {
    let words: Vec<i64> =
        raw.chunks_exact(2).map(|two| i16::from_be_bytes([two[0], two[1]]).into()).collect();
    let [_, weight, sign, scale, digits @ ..] = words.as_slice() else {
        return Err("a short NUMERIC".into());
    };
    if *scale != 0 || !matches!(sign, 0 | 0x4000) {
        return Err("a NUMERIC that is not a whole number".into());
    }
    let number = (0..=*weight).fold(0, |sum, at| sum * 10_000 + digits.get(at as usize).unwrap_or(&0));
    Ok(if *sign == 0 { number } else { -number })
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, ConversionError> {
        match (self, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Integer(number), &Type::BOOL) => (*number != 0).to_sql(kind, out),
            (Value::Integer(number), &Type::INT2) => i16::try_from(*number)?.to_sql(kind, out),
            (Value::Integer(number), &Type::INT4) => i32::try_from(*number)?.to_sql(kind, out),
            (Value::Integer(number), &Type::INT8) => number.to_sql(kind, out),
            (Value::Real(number), &Type::FLOAT8) => number.to_sql(kind, out),
            (Value::Text(text), kind) if <&str as ToSql>::accepts(kind) => text.to_sql(kind, out),
            (Value::Blob(bytes), &Type::BYTEA) => bytes.to_sql(kind, out),
            _ => Err(format!("{self:?} is no {kind}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
