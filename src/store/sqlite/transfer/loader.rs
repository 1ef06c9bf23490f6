//! Inserts the lines of an export into a new store that no other process can open yet.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params, params_from_iter};

use super::export_reader::{ExportReader, Line};
use super::filled_copy::{begin_filling, end_filling};
use super::{ReportProgress, line};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::model::receipt::{GENESIS_HASH, Receipt};
use crate::model::run_record::RunRecord;
use crate::model::text::excerpt;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::tx::Tx;
use crate::store::tables::{TABLES, Table};
use crate::store::{StoreRead as _, StoreWrite as _};

/// Fills a store with the lines of an export.
pub(super) struct Loader {
    connection: Connection,
    /// The last task that each column referred to, by column: id and row.
    recent: HashMap<String, (String, i64)>,
    /// Tasks whose parent comes later in the export.
    children: Vec<(i64, String)>,
}

fn write_error(error: rusqlite::Error) -> Error {
    match (error.sqlite_error_code(), &error) {
        // SQLite's message names the table and the column.
        (
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch),
            rusqlite::Error::SqliteFailure(_, Some(message)),
        ) => Error::invalid(format!("it does not fit the lines before it: {message}")),
        _ => sql_error("the new store could not be written", error),
    }
}

impl Loader {
    /// Prepares an empty store.
    pub(super) fn new(connection: Connection) -> Result<Self> {
        begin_filling(&connection).map_err(write_error)?;
        Ok(Loader { connection, recent: HashMap::new(), children: Vec::new() })
    }

    /// Inserts every line, builds the search index and leaves no WAL.
    ///
    /// # Errors
    /// The first invalid line.
    pub(super) fn load(
        mut self,
        lines: &mut ExportReader<'_>,
        clock: &Clock,
        report: ReportProgress<'_>,
    ) -> Result<()> {
        let announced = lines.read_first()?;
        let total = announced.values().sum();
        let mut counted = BTreeMap::new();
        let (mut done, mut current) = (0, 0);
        while let Some(line) = lines.next_line()? {
            let table = TABLES.iter().position(|table| table.name == line.kind).ok_or_else(|| {
                lines.invalid_line(format!(
                    "'{}' is no line type that this tasktally knows",
                    excerpt(&line.kind)
                ))
            })?;
            if table < current {
                return Err(lines.invalid_line(format!(
                    "a line of table {} comes before a line of table {}",
                    TABLES[current].name, line.kind
                )));
            }
            current = table;
            *counted.entry(line.kind.clone()).or_default() += 1;
            self.insert(&TABLES[table], line, clock).map_err(|error| lines.with_line(&error))?;
            done += 1;
            if done % 1_000 == 0 {
                report("Reading", done, total);
            }
        }
        check_counts(&announced, &counted).map_err(|error| lines.with_line(&error))?;
        report("Indexing", 0, 0);
        self.finish(clock).map_err(|error| lines.with_line(&error))
    }

    fn insert(&mut self, table: &Table, line: Line, clock: &Clock) -> Result<()> {
        let (mut missing, mut parent) = (None, None);
        let Loader { connection, recent, .. } = &mut *self;
        let mut cells = line::read_row(table, line.members, &mut |column, id| {
            let row = find_task(connection, recent, column, id)?;
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
        if table.name == "batch" {
            mark_command(table, &mut cells)?;
        }
        self.connection
            .prepare_cached(&line::insert(table))
            .and_then(|mut statement| statement.execute(params_from_iter(&cells)))
            .map_err(write_error)?;
        match (table.name, parent) {
            ("task", Some(parent)) => {
                let row = number(table, &cells, "row_id");
                self.children.push((row, parent));
                Ok(())
            }
            ("receipt", _) => self.check_receipt(table, &cells, clock),
            ("item", _) => self.insert_key(table, &cells),
            _ => Ok(()),
        }
    }

    /// Inserts the key of an item, because no trigger does.
    fn insert_key(&self, table: &Table, cells: &[Cell]) -> Result<()> {
        let cell = |name: &str| {
            table.columns.iter().zip(cells).find(|((column, _), _)| *column == name).map(|(_, cell)| cell)
        };
        self.connection
            .prepare_cached("INSERT INTO item_key (batch, key, chunk, position) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut statement| {
                statement.execute(params![cell("batch"), cell("key"), cell("chunk"), cell("position")])
            })
            .map_err(write_error)?;
        Ok(())
    }

    /// Compares a receipt's hash with the receipt before it.
    fn check_receipt(&self, table: &Table, cells: &[Cell], clock: &Clock) -> Result<()> {
        let tx = Tx::new(&self.connection, clock.now());
        let (task, number) = (number(table, cells, "task"), number(table, cells, "number").unsigned_abs());
        let id = self.recent.get("task").map_or("", |(id, _)| id.as_str());
        let read = |number: u64| -> Result<Option<(Receipt, [u8; 32])>> {
            Ok(tx.hashed_receipts(task, number.saturating_sub(1), 1)?.pop())
        };
        let before = match number {
            1 => Some(GENESIS_HASH),
            _ => read(number.saturating_sub(1))?
                .filter(|(before, _)| before.number + 1 == number)
                .map(|(_, hash)| hash),
        };
        let Some(before) = before else {
            return Err(Error::invalid(format!(
                "receipt {number} of task {id} comes without the one before it"
            )));
        };
        match read(number)? {
            Some((receipt, hash)) if receipt.hash(id, &before) == hash => Ok(()),
            _ => Err(Error::invalid(format!("receipt {number} of task {id} is not as it was written"))),
        }
    }

    fn finish(mut self, clock: &Clock) -> Result<()> {
        for (row, parent) in std::mem::take(&mut self.children) {
            let found = find_task(&self.connection, &mut self.recent, "parent", &parent)?;
            let Some(found) = found else {
                return Err(Error::invalid(format!("parent: there is no task '{}'", excerpt(&parent))));
            };
            self.connection
                .execute("UPDATE task SET parent = ?2 WHERE row_id = ?1", params![row, found])
                .map_err(write_error)?;
        }
        self.check_task_counts()?;
        let tx = Tx::new(&self.connection, clock.now());
        while !tx.update_search_index()? {}
        end_filling(self.connection).map_err(write_error)
    }

    /// Compares the imported task counts with the tasks, because no trigger has counted them.
    fn check_task_counts(&self) -> Result<()> {
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
            .map_err(write_error)?;
        match differs {
            None => Ok(()),
            Some((queue_state, kind)) => Err(Error::new(
                Code::Conflict,
                format!("the task count of {queue_state} tasks of type {kind} differs from the tasks"),
            )),
        }
    }
}

/// Compares the numbers of lines in the first line, if it has them, with the lines that were read.
fn check_counts(announced: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Result<()> {
    let number = |of: &BTreeMap<String, u64>, table: &str| of.get(table).copied().unwrap_or(0);
    let is_wrong = |table: &&String| number(announced, table) != number(counted, table);
    let tables = announced.keys().chain(counted.keys());
    match tables.filter(|_| !announced.is_empty()).find(is_wrong) {
        None => Ok(()),
        Some(table) => Err(Error::invalid(format!(
            "the first line says that table {} has {} lines, {} are there",
            excerpt(table),
            number(announced, table),
            number(counted, table)
        ))),
    }
}

/// Marks the command of a batch as imported: `tasktally run --resume` would run it without showing it.
fn mark_command(table: &Table, cells: &mut [Cell]) -> Result<()> {
    let at = table.columns.iter().position(|(name, _)| *name == "command");
    let Some(Cell::Text(command)) = at.and_then(|at| cells.get_mut(at)) else { return Ok(()) };
    let invalid = |error| Error::invalid("command: is no command of tasktally run").caused_by(error);
    let run: RunRecord = serde_json::from_str(command).map_err(invalid)?;
    *command = serde_json::to_string(&RunRecord { is_imported: true, ..run }).map_err(invalid)?;
    Ok(())
}

/// The row of the task that a column refers to by id.
fn find_task(
    connection: &Connection,
    recent: &mut HashMap<String, (String, i64)>,
    column: &str,
    id: &str,
) -> Result<Option<i64>> {
    if let Some((_, row)) = recent.get(column).filter(|(recent, _)| recent == id) {
        return Ok(Some(*row));
    }
    let row: Option<i64> = connection
        .prepare_cached("SELECT row_id FROM task WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
        .map_err(write_error)?;
    if let Some(row) = row {
        recent.insert(column.to_owned(), (id.to_owned(), row));
    }
    Ok(row)
}

/// The number in a column of a row, or 0.
fn number(table: &Table, cells: &[Cell], column: &str) -> i64 {
    let index = table.columns.iter().position(|(name, _)| *name == column);
    match index.and_then(|index| cells.get(index)) {
        Some(Cell::Integer(number)) => *number,
        _ => 0,
    }
}
