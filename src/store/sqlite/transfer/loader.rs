//! Lines into the rows of a store that nobody else sees yet.

use std::collections::HashMap;

use rusqlite::config::DbConfig;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params, params_from_iter};

use super::export_reader::{Line, Lines};
use super::tables::{TABLES, Table};
use super::{Tell, copy, line};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::model::receipt::{GENESIS_HASH, Receipt};
use crate::model::text::excerpt;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::tx::Tx;
use crate::store::{StoreRead as _, StoreWrite as _};

/// A store that is being filled.
pub(super) struct Load {
    connection: Connection,
    /// Where a task's id was last found, by the column that named it.
    known: HashMap<String, (String, i64)>,
    /// Tasks whose parent was made after them.
    children: Vec<(i64, String)>,
}

fn unwritten(error: rusqlite::Error) -> Error {
    match (error.sqlite_error_code(), &error) {
        // SQLite's sentence names table and column; what it calls the error says no more.
        (
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch),
            rusqlite::Error::SqliteFailure(_, Some(told)),
        ) => Error::invalid(format!("it does not fit what comes before it: {told}")),
        _ => sql_error("the new store could not be written", error),
    }
}

impl Load {
    /// Into an empty store.
    ///
    /// The triggers rest: they would count again what the lines bring counted. So do foreign keys, which
    /// are looked at when all is there.
    pub(super) fn into(connection: Connection) -> Result<Self> {
        connection
            .execute_batch(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;
                 PRAGMA cache_size = -16000; BEGIN IMMEDIATE;",
            )
            .and_then(|()| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false))
            .map_err(unwritten)?;
        Ok(Load { connection, known: HashMap::new(), children: Vec::new() })
    }

    /// Stores every line, makes it all searchable and folds it to one file.
    ///
    /// # Errors
    /// The first line that cannot be taken.
    pub(super) fn all(mut self, lines: &mut Lines<'_>, clock: &Clock, tell: Tell<'_>) -> Result<()> {
        let total = lines.first()?;
        let (mut done, mut at) = (0, 0);
        while let Some(line) = lines.next()? {
            let place = TABLES.iter().position(|table| table.name == line.kind).ok_or_else(|| {
                lines.wrong(format!("'{}' is no line that this tasktally knows", excerpt(&line.kind)))
            })?;
            if place < at {
                return Err(lines.wrong(format!("a {} comes before a {}", line.kind, TABLES[at].name)));
            }
            at = place;
            self.take(&TABLES[place], line, clock).map_err(|error| lines.at(&error))?;
            done += 1;
            if done % 1_000 == 0 {
                tell("Reading", done, total);
            }
        }
        tell("Indexing", 0, 0);
        self.finish(clock).map_err(|error| lines.at(&error))
    }

    fn take(&mut self, table: &Table, line: Line, clock: &Clock) -> Result<()> {
        let (mut missing, mut parent) = (None, None);
        let Load { connection, known, .. } = &mut *self;
        let cells = line::read(table, line.members, &mut |column, id| {
            let row = find(connection, known, column, id)?;
            if row.is_none() {
                if (table.name, column) == ("task", "parent") {
                    parent = Some(id.to_owned());
                } else {
                    missing = Some(format!("{column}: there is no task '{}'", excerpt(id)));
                }
            }
            Ok(row)
        })?;
        if let Some(missing) = missing {
            return Err(Error::invalid(missing));
        }
        self.connection
            .prepare_cached(&line::insert(table))
            .and_then(|mut insert| insert.execute(params_from_iter(&cells)))
            .map_err(unwritten)?;
        match (table.name, parent) {
            ("task", Some(parent)) => {
                let row = number(table, &cells, "row_id");
                self.children.push((row, parent));
                Ok(())
            }
            ("receipt", _) => self.follow(table, &cells, clock),
            _ => Ok(()),
        }
    }

    /// Holds a receipt to the one before it.
    fn follow(&self, table: &Table, cells: &[Cell], clock: &Clock) -> Result<()> {
        let tx = Tx::new(&self.connection, clock.now());
        let (task, number) = (number(table, cells, "task"), number(table, cells, "number").unsigned_abs());
        let id = self.known.get("task").map_or("", |(id, _)| id.as_str());
        let of = |number: u64| -> Result<Option<(Receipt, [u8; 32])>> {
            Ok(tx.hashed_receipts(task, number.saturating_sub(1), 1)?.pop())
        };
        let before = match number {
            1 => Some(GENESIS_HASH),
            _ => of(number.saturating_sub(1))?
                .filter(|(before, _)| before.number + 1 == number)
                .map(|(_, hash)| hash),
        };
        let Some(before) = before else {
            return Err(Error::invalid(format!(
                "receipt {number} of task {id} comes without the one before it"
            )));
        };
        match of(number)? {
            Some((receipt, hash)) if receipt.hash(id, &before) == hash => Ok(()),
            _ => Err(Error::invalid(format!("receipt {number} of task {id} is not as it was written"))),
        }
    }

    fn finish(mut self, clock: &Clock) -> Result<()> {
        for (row, parent) in std::mem::take(&mut self.children) {
            let found = find(&self.connection, &mut self.known, "parent", &parent)?;
            let Some(found) = found else {
                return Err(Error::invalid(format!("parent: there is no task '{}'", excerpt(&parent))));
            };
            self.connection
                .execute("UPDATE task SET parent = ?2 WHERE row_id = ?1", params![row, found])
                .map_err(unwritten)?;
        }
        self.compare_tally()?;
        Tx::new(&self.connection, clock.now()).update_search_index()?;
        self.connection
            .execute_batch("COMMIT; PRAGMA journal_mode = WAL;")
            .and_then(|()| copy::fold(&self.connection))
            .map_err(unwritten)?;
        self.connection.close().map_err(|(_, error)| unwritten(error))
    }

    /// The triggers did not count the tasks: the lines must have.
    fn compare_tally(&self) -> Result<()> {
        let differs: Option<(String, String)> = self
            .connection
            .query_row(
                "WITH stored AS (SELECT project, queue_state, type, priority, count FROM task_count WHERE count <> 0),
                      counted AS (SELECT ifnull(project, '') AS project, queue_state, type, priority, count(*) AS count
                                    FROM task GROUP BY 1, 2, 3, 4)
                 SELECT queue_state, type FROM (SELECT * FROM stored EXCEPT SELECT * FROM counted)
                 UNION ALL SELECT queue_state, type FROM (SELECT * FROM counted EXCEPT SELECT * FROM stored) LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(unwritten)?;
        match differs {
            None => Ok(()),
            Some((lane, kind)) => Err(Error::new(
                Code::Conflict,
                format!("the tally of {lane} tasks of type {kind} is not what is there"),
            )),
        }
    }
}

/// The row of a task.
fn find(
    connection: &Connection,
    known: &mut HashMap<String, (String, i64)>,
    column: &str,
    id: &str,
) -> Result<Option<i64>> {
    if let Some((_, row)) = known.get(column).filter(|(known, _)| known == id) {
        return Ok(Some(*row));
    }
    let row: Option<i64> = connection
        .prepare_cached("SELECT row_id FROM task WHERE id = ?1")
        .and_then(|mut find| find.query_row([id], |row| row.get(0)).optional())
        .map_err(unwritten)?;
    if let Some(row) = row {
        known.insert(column.to_owned(), (id.to_owned(), row));
    }
    Ok(row)
}

/// A number of a row that is stored.
fn number(table: &Table, cells: &[Cell], column: &str) -> i64 {
    let place = table.columns.iter().position(|(name, _)| *name == column);
    match place.and_then(|place| cells.get(place)) {
        Some(Cell::Integer(number)) => *number,
        _ => 0,
    }
}
