//! Items on their way into a batch: in a temporary table that SQLite spills to disk, so that a
//! million of them don't stand in memory, and apart from the store, so that nobody waits meanwhile.

use std::collections::HashMap;

use rusqlite::{Connection, ErrorCode, params};

use super::connection::restore_cache_size;
use super::rows::sql_error;
use crate::error::{Error, Result};
use crate::items::Item;
use crate::store::Staging;

/// A private database that ends with this value.
pub(super) struct TemporaryTable {
    connection: Connection,
}

fn failed(error: rusqlite::Error) -> Error {
    sql_error("the items could not be put aside for splitting", error)
}

impl TemporaryTable {
    /// An empty one.
    pub(super) fn new() -> Result<Self> {
        // An empty name is SQLite's word for a private file that goes away by itself.
        let connection = Connection::open("").map_err(failed)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;
                 CREATE TABLE part (n INTEGER PRIMARY KEY, sort TEXT NOT NULL, label TEXT NOT NULL, count INTEGER NOT NULL, UNIQUE (sort, label)) STRICT;
                 CREATE TABLE item (n INTEGER PRIMARY KEY, part INTEGER NOT NULL, key TEXT NOT NULL UNIQUE, place TEXT NOT NULL, fields TEXT NOT NULL) STRICT;
                 BEGIN;",
            )
            .map_err(failed)?;
        Ok(TemporaryTable { connection })
    }

    /// The rows of all items in the order of the groups: each is put where its group has got to, for
    /// SQLite would sort them in as much memory as its cache may take.
    fn numbers(&self) -> rusqlite::Result<Vec<u32>> {
        let mut next = HashMap::new();
        let mut total = 0;
        let mut parts = self.connection.prepare("SELECT n, count FROM part ORDER BY sort, n")?;
        let mut rows = parts.query([])?;
        while let Some(row) = rows.next()? {
            next.insert(row.get::<_, i64>(0)?, total);
            total += row.get::<_, usize>(1)?;
        }
        let mut numbers = vec![0; total];
        let mut items = self.connection.prepare("SELECT n, part FROM item ORDER BY n")?;
        let mut rows = items.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(place) = next.get_mut(&row.get::<_, i64>(1)?)
                && let Some(number) = numbers.get_mut(*place)
            {
                *number = row.get(0)?;
                *place += 1;
            }
        }
        Ok(numbers)
    }

    fn first_place(&self, key: &str) -> Result<String> {
        self.connection
            .query_row("SELECT place FROM item WHERE key = ?1", [key], |row| row.get(0))
            .map_err(failed)
    }

    fn take_from_part(&self, part: i64) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE part SET count = count - 1 WHERE n = ?1")
            .and_then(|mut statement| statement.execute([part]))
            .map_err(failed)?;
        Ok(())
    }
}

impl Staging for TemporaryTable {
    fn push(&mut self, item: &Item, sort: &str, label: &str) -> Result<Option<String>> {
        let part: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO part (sort, label, count) VALUES (?1, ?2, 1)
                 ON CONFLICT (sort, label) DO UPDATE SET count = count + 1 RETURNING n",
            )
            .and_then(|mut statement| statement.query_row([sort, label], |row| row.get(0)))
            .map_err(failed)?;
        let fields = serde_json::to_string(&item.fields)
            .map_err(|error| Error::internal("an item could not be written as JSON", error))?;
        let inserted = self
            .connection
            .prepare_cached("INSERT INTO item (part, key, place, fields) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut statement| {
                statement.execute(params![part, item.key, item.origin.to_string(), fields])
            });
        match inserted {
            Ok(_) => Ok(None),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                self.take_from_part(part)?;
                self.first_place(&item.key).map(Some)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn leave_out(&mut self, known: &mut dyn FnMut(&str) -> Result<bool>) -> Result<u64> {
        let (mut after, mut left_out) = (0, 0);
        loop {
            let page: Vec<(i64, i64, String)> = self
                .connection
                .prepare_cached("SELECT n, part, key FROM item WHERE n > ?1 ORDER BY n LIMIT 500")
                .and_then(|mut statement| {
                    statement.query_map([after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
                })
                .map_err(failed)?;
            let Some((last, ..)) = page.last() else { return Ok(left_out) };
            after = *last;
            for (n, part, key) in page {
                if known(&key)? {
                    self.connection
                        .prepare_cached("DELETE FROM item WHERE n = ?1")
                        .and_then(|mut statement| statement.execute([n]))
                        .map_err(failed)?;
                    self.take_from_part(part)?;
                    left_out += 1;
                }
            }
        }
    }

    fn groups(&mut self) -> Result<Vec<(String, u64)>> {
        // All has come, in any order of the keys; from now on it is read in another, and the store needs the memory.
        restore_cache_size(&self.connection).map_err(failed)?;
        self.connection
            .prepare("SELECT label, count FROM part WHERE count > 0 ORDER BY sort, n")
            .and_then(|mut statement| {
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(failed)
    }

    fn each(&mut self, visit: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<()> {
        // One group holds all in the order of reading: no sort is needed.
        let parts = self.groups()?.len();
        let sql = if parts <= 1 {
            "SELECT key, fields FROM item ORDER BY n"
        } else {
            "SELECT i.key, i.fields FROM item i JOIN part p ON p.n = i.part ORDER BY p.sort, p.n, i.n"
        };
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let text =
                |column: usize| row.get_ref(column).and_then(|value| Ok(value.as_str()?)).map_err(failed);
            visit(text(0)?, text(1)?)?;
        }
        Ok(())
    }

    fn each_in(&mut self, order: &[u32], visit: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<()> {
        let numbers = self.numbers().map_err(failed)?;
        let mut statement =
            self.connection.prepare("SELECT key, fields FROM item WHERE n = ?1").map_err(failed)?;
        for place in order {
            let number = numbers.get(*place as usize).copied().unwrap_or_default();
            let mut rows = statement.query([number]).map_err(failed)?;
            let row = rows.next().map_err(failed)?;
            let row = row.ok_or_else(|| failed(rusqlite::Error::QueryReturnedNoRows))?;
            let text =
                |column: usize| row.get_ref(column).and_then(|value| Ok(value.as_str()?)).map_err(failed);
            visit(text(0)?, text(1)?)?;
        }
        Ok(())
    }
}
