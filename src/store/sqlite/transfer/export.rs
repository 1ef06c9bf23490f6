//! A store as lines: a first one that tells what follows, a row a line, a last one by which a file that
//! was cut or changed is known.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::backup::{COPY, refuse_target};
use super::staging_dir::Aside;
use super::tables::TABLES;
use super::{Held, Tell, copy, integrity, line};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::chain::hex;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::{SCHEMA_VERSION, connection};

/// Where the lines go.
pub enum Destination<'a> {
    /// To a file, that is put in its place when it is whole.
    File {
        /// The file.
        path: &'a Path,
        /// Whether one that is there already goes.
        replace: bool,
    },
    /// To whoever reads along.
    Stream(&'a mut dyn Write),
}

/// What an export is called while it is aside.
const LINES: &str = "export.jsonl";

/// Writes a store out; gives what was in it and how many lines that took.
///
/// It is read from a copy: a slow reader of the lines must not keep the store's log from being folded.
///
/// # Errors
/// Where the store is not whole, or the lines cannot be written.
pub fn export(
    store: &Path,
    destination: Destination<'_>,
    clock: &Clock,
    tell: Tell<'_>,
) -> Result<(Held, u64)> {
    if let Destination::File { path, replace } = &destination {
        refuse_target(store, path, *replace)?;
    }
    let aside = Aside::beside(match &destination {
        Destination::File { path, .. } => path,
        Destination::Stream(_) => store,
    })?;
    let file = aside.file(COPY);
    copy::snapshot(store, &file, tell)?;
    let held = integrity::check(&file, clock, tell).map_err(|error| {
        Error::new(error.code, format!("nothing was exported, for what is stored is not whole: {error}"))
    })?;
    let from = connection::open_reader(&file)?;
    match destination {
        Destination::Stream(out) => {
            let mut out = Lines::to(BufWriter::new(out));
            write(&from, &held, clock, &mut out, tell)?;
            let lines = out.number;
            out.end().map_err(|error| Error::internal("nothing can be printed", error))?;
            Ok((held, lines))
        }
        Destination::File { path, replace } => {
            let failed =
                |error| Error::internal(format!("the export {} cannot be written", path.display()), error);
            let made = aside.file(LINES);
            connection::make_private(&made)?;
            let mut out = Lines::to(BufWriter::new(File::options().write(true).open(&made).map_err(failed)?));
            write(&from, &held, clock, &mut out, tell)?;
            let lines = out.number;
            out.end().map_err(failed)?;
            // Of the file, not of the copy that it was read from.
            let bytes = made.metadata().map_err(failed)?.len();
            aside.put(LINES, path, replace)?;
            Ok((Held { bytes, ..held }, lines))
        }
    }
}

/// Lines on their way out, counted and hashed.
struct Lines<W> {
    out: W,
    number: u64,
    hash: Sha256,
}

impl<W: Write> Lines<W> {
    fn to(out: W) -> Self {
        Lines { out, number: 0, hash: Sha256::new() }
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.number += 1;
        self.hash.update(line);
        self.out.write_all(line)
    }

    fn end(mut self) -> io::Result<()> {
        let hash = hex(&self.hash.finalize());
        writeln!(self.out, "{}", json!({ line::LINE: line::LAST, "lines": self.number, "sha256": hash }))?;
        self.out.flush()
    }
}

fn write<W: Write>(
    from: &Connection,
    held: &Held,
    clock: &Clock,
    out: &mut Lines<W>,
    tell: Tell<'_>,
) -> Result<()> {
    let unread = |error| sql_error("the copy could not be read", error);
    let unwritten = |error: io::Error| Error::internal("the lines cannot be written or printed", error);
    let mut counts = Map::new();
    for table in TABLES {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.name);
        let count: u64 = from.query_row(&sql, [], |row| row.get(0)).map_err(unread)?;
        counts.insert(table.name.to_owned(), Value::from(count));
    }
    let all: u64 = counts.values().filter_map(Value::as_u64).sum();
    let first = json!({
        line::LINE: line::FIRST,
        "format": line::FORMAT,
        "schema": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "exported": clock.now().to_string(),
        "change": held.change,
        "counts": counts,
    });
    out.put(format!("{first}\n").as_bytes()).map_err(unwritten)?;
    let (mut buffer, mut done) = (Vec::new(), 0);
    for table in TABLES {
        let mut statement = from.prepare(&line::select(table)).map_err(unread)?;
        let mut rows = statement.query([]).map_err(unread)?;
        while let Some(row) = rows.next().map_err(unread)? {
            line::write(table, row, &mut buffer)?;
            out.put(&buffer).map_err(unwritten)?;
            done += 1;
            if done % 1_000 == 0 {
                tell("Writing", done, all);
            }
        }
    }
    Ok(())
}
