//! Conversion between a row and a line of an export, without loss.
//!
//! A line is a JSON object: the name of its table, then the columns that are not NULL. Times are RFC 3339, tasks are
//! written as their ids, JSON columns as JSON. A value that would not convert back exactly is written as it is stored: a
//! time out of range as a number, and JSON text that serde_json would format differently in [`VERBATIM`].

use std::io::Write;

use rusqlite::types::{Value as Cell, ValueRef};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::chain::hex;
use crate::model::text::excerpt;
use crate::model::timestamp::Timestamp;
use crate::store::tables::{ColumnKind, Table};

/// The only member of an object that contains the literal text of a JSON column.
const VERBATIM: &str = "$text";

/// The member with the type of a line: the name of a table, [`FIRST`] or [`LAST`].
pub(super) const LINE: &str = "line";
/// The type of the first line.
pub(super) const FIRST: &str = "tasktally";
/// The type of the last line.
pub(super) const LAST: &str = "end";
/// The format of exports. The first line contains it.
pub(super) const FORMAT: u64 = 1;
/// The length limit of a line. Stored rows are far smaller.
pub(super) const MAX_LINE_BYTES: usize = 64 << 20;

/// The query that reads a table for [`write_row`].
pub(super) fn select(table: &Table) -> String {
    let column = |(name, kind): &(&str, ColumnKind)| match kind {
        ColumnKind::Task => format!("(SELECT id FROM task WHERE row_id = t.\"{name}\")"),
        _ => format!("t.\"{name}\""),
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    let order: Vec<String> = table.order.split(", ").map(|name| format!("t.\"{name}\"")).collect();
    format!("SELECT {} FROM \"{}\" t ORDER BY {}", columns.join(", "), table.name, order.join(", "))
}

/// The statement that inserts the cells that [`read_row`] returns.
pub(super) fn insert(table: &Table) -> String {
    let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let parameters: Vec<String> = (1..=names.len()).map(|number| format!("?{number}")).collect();
    format!("INSERT INTO \"{}\" ({}) VALUES ({})", table.name, names.join(", "), parameters.join(", "))
}

/// Formats a row of [`select`] as a line.
pub(super) fn write_row(table: &Table, row: &rusqlite::Row<'_>, line: &mut Vec<u8>) -> Result<()> {
    line.clear();
    let write_error = |error| Error::internal(format!("a row of {} cannot be written", table.name), error);
    write!(line, "{{\"{LINE}\":\"{}\"", table.name).map_err(write_error)?;
    for (index, (name, kind)) in table.columns.iter().enumerate() {
        let invalid = |what: String| {
            Error::invalid(format!(
                "column {} of a row of table {}: {what}; run tasktally verify",
                name, table.name
            ))
        };
        let cell = row
            .get_ref(index)
            .map_err(|error| invalid("the value cannot be read".into()).caused_by(error))?;
        let value = match (cell, kind) {
            (ValueRef::Null, _) => continue,
            (ValueRef::Integer(0), ColumnKind::Flag) => Value::Bool(false),
            (ValueRef::Integer(1), ColumnKind::Flag) => Value::Bool(true),
            (ValueRef::Integer(number), ColumnKind::Time)
                if Timestamp::from_millis(number).millis() == number =>
            {
                Value::String(Timestamp::from_millis(number).to_string())
            }
            (ValueRef::Integer(number), _) => Value::from(number),
            (ValueRef::Text(text), kind) => {
                let text = str::from_utf8(text)
                    .map_err(|error| invalid("the text is not UTF-8".into()).caused_by(error))?;
                if matches!(kind, ColumnKind::Json) { json_value(text) } else { Value::from(text) }
            }
            (ValueRef::Blob(bytes), ColumnKind::Bytes) => Value::String(hex(bytes)),
            _ => return Err(invalid(format!("the type {:?} is not expected", cell.data_type()))),
        };
        write!(line, ",\"{name}\":{value}").map_err(write_error)?;
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// JSON text as a value that serde_json formats as exactly the same text.
fn json_value(text: &str) -> Value {
    let verbatim = || Value::from(Map::from_iter([(VERBATIM.to_owned(), Value::from(text))]));
    let Ok(value) = serde_json::from_str::<Value>(text) else { return verbatim() };
    let formatted = value.to_string();
    if formatted == text && value.get(VERBATIM).is_none() { value } else { verbatim() }
}

/// Reads the cells of a row from the members of a line; `row_of` returns the row of a task by column and id.
///
/// # Errors
/// If a member is invalid or unknown.
pub(super) fn read_row(
    table: &Table,
    mut line: Map<String, Value>,
    row_of: &mut dyn FnMut(&str, &str) -> Result<Option<i64>>,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::with_capacity(table.columns.len());
    for (name, kind) in table.columns {
        let cell = match line.shift_remove(*name) {
            None => match kind {
                ColumnKind::LaterNumber => Cell::Integer(0),
                ColumnKind::LaterWord(_, before) => Cell::Text((*before).to_owned()),
                _ => Cell::Null,
            },
            Some(Value::String(id)) if matches!(kind, ColumnKind::Task) => {
                row_of(name, &id)?.map_or(Cell::Null, Cell::Integer)
            }
            Some(value) => cell(&value, *kind).map_err(|why| {
                let shown = value.to_string();
                Error::invalid(format!("{name}: {} {why}", excerpt(&shown)))
            })?,
        };
        cells.push(cell);
    }
    match line.keys().next() {
        None => Ok(cells),
        Some(other) => Err(Error::invalid(format!(
            "a line of table {1} has no member '{0}'",
            excerpt(other),
            table.name
        ))),
    }
}

fn cell(value: &Value, kind: ColumnKind) -> Result<Cell, String> {
    match (kind, value) {
        (ColumnKind::Text, Value::String(text)) => Ok(Cell::Text(text.clone())),
        (ColumnKind::Word(check) | ColumnKind::LaterWord(check, _), Value::String(text)) => {
            check(text).map(|()| Cell::Text(text.clone())).map_err(|why| format!("is invalid: {why}"))
        }
        (ColumnKind::Number | ColumnKind::LaterNumber | ColumnKind::Time, Value::Number(number)) => {
            number.as_i64().map(Cell::Integer).ok_or_else(|| "is no whole number of 64 bits".into())
        }
        (ColumnKind::Flag, Value::Bool(flag)) => Ok(Cell::Integer(i64::from(*flag))),
        (ColumnKind::Time, Value::String(text)) => Timestamp::parse(text)
            .ok()
            .filter(|moment| moment.to_string() == *text)
            .map(|moment| Cell::Integer(moment.millis()))
            .ok_or_else(|| "is no time in the form 2026-01-31T12:00:00.000Z".into()),
        (ColumnKind::Json, value) => Ok(Cell::Text(match value.get(VERBATIM) {
            Some(Value::String(text)) => text.clone(),
            _ => value.to_string(),
        })),
        (ColumnKind::Bytes, Value::String(digits)) => bytes(digits)
            .map(Cell::Blob)
            .ok_or_else(|| "is no sequence of pairs of lower-case hexadecimal digits".into()),
        (ColumnKind::Text | ColumnKind::Word(_) | ColumnKind::LaterWord(..), _) => Err("is no text".into()),
        (ColumnKind::Number | ColumnKind::LaterNumber, _) => Err("is no number".into()),
        (ColumnKind::Flag, _) => Err("is neither true nor false".into()),
        (ColumnKind::Time, _) => Err("is no time".into()),
        (ColumnKind::Bytes, _) => Err("is no text of hexadecimal digits".into()),
        (ColumnKind::Task, _) => Err("is no task's id".into()),
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| (*digit as char).to_digit(16).filter(|_| !digit.is_ascii_uppercase());
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair.first()?)? * 16 + digit(pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_converted_back_to_the_same_value() {
        fn check(kind: ColumnKind, stored: Cell, line: &str) {
            let text = if let (ColumnKind::Json, Cell::Text(text)) = (kind, &stored) {
                json_value(text).to_string()
            } else {
                line.to_owned()
            };
            assert_eq!(text, line);
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(cell(&value, kind), Ok(stored), "{line}");
        }
        let json = |text: &str| Cell::Text(text.to_owned());
        check(ColumnKind::Json, json("[\"a\"]"), "[\"a\"]");
        check(ColumnKind::Json, json("{\"b\":1.0,\"a\":null}"), "{\"b\":1.0,\"a\":null}");
        check(ColumnKind::Json, json("null"), "null");
        check(ColumnKind::Json, json("\"x\""), "\"x\"");
        // Text that serde_json would format differently.
        check(ColumnKind::Json, json("{ }"), "{\"$text\":\"{ }\"}");
        check(ColumnKind::Json, json("1e400"), "{\"$text\":\"1e400\"}");
        check(ColumnKind::Json, json("{\"a\":1,\"a\":2}"), "{\"$text\":\"{\\\"a\\\":1,\\\"a\\\":2}\"}");
        check(ColumnKind::Json, json("no json\n"), "{\"$text\":\"no json\\n\"}");
        check(ColumnKind::Json, json("{\"$text\":\"x\"}"), "{\"$text\":\"{\\\"$text\\\":\\\"x\\\"}\"}");
        check(ColumnKind::Time, Cell::Integer(0), "\"1970-01-01T00:00:00.000Z\"");
        check(ColumnKind::Time, Cell::Integer(32_503_679_999_999), "\"2999-12-31T23:59:59.999Z\"");
        check(ColumnKind::Time, Cell::Integer(-5), "-5");
        check(ColumnKind::Number, Cell::Integer(i64::MIN), "-9223372036854775808");
        check(ColumnKind::Bytes, Cell::Blob(vec![0, 255]), "\"00ff\"");
    }
}
