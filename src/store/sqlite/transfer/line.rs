//! A row as a line, and a line as a row: nothing is lost on the way.
//!
//! A line is a JSON object: what it is a line of, then the columns that hold something. Times are RFC 3339, tasks are
//! named by their ids, JSON stands as itself. What such a form would not give back exactly stands as the
//! store has it: a time out of range as a number, text that is not JSON as serde_json writes it within
//! [`VERBATIM`].

use std::io::Write;

use rusqlite::types::{Value as Cell, ValueRef};
use serde_json::{Map, Value};

use super::tables::{Holds, Table};
use crate::error::{Error, Result};
use crate::model::chain::hex;
use crate::model::text::excerpt;
use crate::model::timestamp::Timestamp;

/// The one member of an object that stands for text which is not to be read as JSON.
const VERBATIM: &str = "$text";

/// The member that tells what a line is of: a table, or one of these.
pub(super) const LINE: &str = "line";
/// The first line.
pub(super) const FIRST: &str = "tasktally";
/// The last one.
pub(super) const LAST: &str = "end";
/// The format of a file of lines, told in its first.
pub(super) const FORMAT: u64 = 1;
/// The longest line: what the store holds of one thing is far smaller.
pub(super) const MOST_BYTES: usize = 64 << 20;

/// The query that reads a table for [`write`].
pub(super) fn select(table: &Table) -> String {
    let column = |(name, holds): &(&str, Holds)| match holds {
        Holds::Task => format!("(SELECT id FROM task WHERE row_id = t.\"{name}\")"),
        _ => format!("t.\"{name}\""),
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    let order: Vec<String> = table.order.split(", ").map(|name| format!("t.\"{name}\"")).collect();
    format!("SELECT {} FROM \"{}\" t ORDER BY {}", columns.join(", "), table.name, order.join(", "))
}

/// The statement that stores what [`read`] gives.
pub(super) fn insert(table: &Table) -> String {
    let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO \"{}\" ({}) VALUES ({})", table.name, names.join(", "), places.join(", "))
}

/// Writes a row of [`select`].
pub(super) fn write(table: &Table, row: &rusqlite::Row<'_>, line: &mut Vec<u8>) -> Result<()> {
    line.clear();
    let unwritten = |error| Error::internal(format!("a row of {} cannot be written", table.name), error);
    write!(line, "{{\"{LINE}\":\"{}\"", table.name).map_err(unwritten)?;
    for (place, (name, holds)) in table.columns.iter().enumerate() {
        let broken = |what: String| {
            Error::invalid(format!("{} of a row of {}: {what}; tasktally verify says more", name, table.name))
        };
        let cell = row.get_ref(place).map_err(|error| broken("it cannot be read".into()).caused_by(error))?;
        let value = match (cell, holds) {
            (ValueRef::Null, _) => continue,
            (ValueRef::Integer(0), Holds::Flag) => Value::Bool(false),
            (ValueRef::Integer(1), Holds::Flag) => Value::Bool(true),
            (ValueRef::Integer(number), Holds::Time) if Timestamp::from_millis(number).millis() == number => {
                Value::String(Timestamp::from_millis(number).to_string())
            }
            (ValueRef::Integer(number), _) => Value::from(number),
            (ValueRef::Text(text), holds) => {
                let text =
                    str::from_utf8(text).map_err(|error| broken("no UTF-8".into()).caused_by(error))?;
                if matches!(holds, Holds::Json) { embedded(text) } else { Value::from(text) }
            }
            (ValueRef::Blob(bytes), Holds::Bytes) => Value::String(hex(bytes)),
            _ => return Err(broken(format!("{:?} is not expected there", cell.data_type()))),
        };
        write!(line, ",\"{name}\":{value}").map_err(unwritten)?;
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// JSON text as a value that gives the same text again.
fn embedded(text: &str) -> Value {
    let verbatim = || Value::from(Map::from_iter([(VERBATIM.to_owned(), Value::from(text))]));
    let Ok(value) = serde_json::from_str::<Value>(text) else { return verbatim() };
    let again = value.to_string();
    if again == text && value.get(VERBATIM).is_none() { value } else { verbatim() }
}

/// Reads the columns of a table from a line; `row_of` finds a task by its id.
///
/// # Errors
/// Which member is not what it should be.
pub(super) fn read(
    table: &Table,
    mut line: Map<String, Value>,
    row_of: &mut dyn FnMut(&str, &str) -> Result<Option<i64>>,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::with_capacity(table.columns.len());
    for (name, holds) in table.columns {
        let cell = match line.shift_remove(*name) {
            None => Cell::Null,
            Some(Value::String(id)) if matches!(holds, Holds::Task) => {
                row_of(name, &id)?.map_or(Cell::Null, Cell::Integer)
            }
            Some(value) => cell(&value, *holds).map_err(|why| {
                let shown = value.to_string();
                Error::invalid(format!("{name}: {} {why}", excerpt(&shown)))
            })?,
        };
        cells.push(cell);
    }
    match line.keys().next() {
        None => Ok(cells),
        Some(other) => {
            Err(Error::invalid(format!("'{}' is nothing that a {} has", excerpt(other), table.name)))
        }
    }
}

fn cell(value: &Value, holds: Holds) -> Result<Cell, String> {
    match (holds, value) {
        (Holds::Text, Value::String(text)) => Ok(Cell::Text(text.clone())),
        (Holds::Word(check), Value::String(text)) => {
            check(text).map(|()| Cell::Text(text.clone())).map_err(|why| format!("cannot be taken: {why}"))
        }
        (Holds::Number | Holds::Time, Value::Number(number)) => {
            number.as_i64().map(Cell::Integer).ok_or_else(|| "is no whole number that the store takes".into())
        }
        (Holds::Flag, Value::Bool(flag)) => Ok(Cell::Integer(i64::from(*flag))),
        (Holds::Time, Value::String(text)) => Timestamp::parse(text)
            .ok()
            .filter(|moment| moment.to_string() == *text)
            .map(|moment| Cell::Integer(moment.millis()))
            .ok_or_else(|| "is no time as tasktally export writes it (2026-01-31T12:00:00.000Z)".into()),
        (Holds::Json, value) => Ok(Cell::Text(match value.get(VERBATIM) {
            Some(Value::String(text)) => text.clone(),
            _ => value.to_string(),
        })),
        (Holds::Bytes, Value::String(digits)) => {
            bytes(digits).map(Cell::Blob).ok_or_else(|| "is not made of pairs of hexadecimal digits".into())
        }
        (Holds::Text | Holds::Word(_), _) => Err("is no text".into()),
        (Holds::Number, _) => Err("is no number".into()),
        (Holds::Flag, _) => Err("is neither true nor false".into()),
        (Holds::Time, _) => Err("is no time".into()),
        (Holds::Bytes, _) => Err("is no text of hexadecimal digits".into()),
        (Holds::Task, _) => Err("is no task's id".into()),
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
    fn every_cell_comes_back_as_it_was() {
        fn check(holds: Holds, stored: Cell, line: &str) {
            let text = if let (Holds::Json, Cell::Text(text)) = (holds, &stored) {
                embedded(text).to_string()
            } else {
                line.to_owned()
            };
            assert_eq!(text, line);
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(cell(&value, holds), Ok(stored), "{line}");
        }
        let json = |text: &str| Cell::Text(text.to_owned());
        check(Holds::Json, json("[\"a\"]"), "[\"a\"]");
        check(Holds::Json, json("{\"b\":1.0,\"a\":null}"), "{\"b\":1.0,\"a\":null}");
        check(Holds::Json, json("null"), "null");
        check(Holds::Json, json("\"x\""), "\"x\"");
        // What would not come back exactly stands as it is.
        check(Holds::Json, json("{ }"), "{\"$text\":\"{ }\"}");
        check(Holds::Json, json("1e400"), "{\"$text\":\"1e400\"}");
        check(Holds::Json, json("{\"a\":1,\"a\":2}"), "{\"$text\":\"{\\\"a\\\":1,\\\"a\\\":2}\"}");
        check(Holds::Json, json("no json\n"), "{\"$text\":\"no json\\n\"}");
        check(Holds::Json, json("{\"$text\":\"x\"}"), "{\"$text\":\"{\\\"$text\\\":\\\"x\\\"}\"}");
        check(Holds::Time, Cell::Integer(0), "\"1970-01-01T00:00:00.000Z\"");
        check(Holds::Time, Cell::Integer(32_503_679_999_999), "\"2999-12-31T23:59:59.999Z\"");
        check(Holds::Time, Cell::Integer(-5), "-5");
        check(Holds::Number, Cell::Integer(i64::MIN), "-9223372036854775808");
        check(Holds::Bytes, Cell::Blob(vec![0, 255]), "\"00ff\"");
    }
}
