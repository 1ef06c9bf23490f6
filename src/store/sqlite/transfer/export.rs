//! Export: a store as JSON lines. The first line describes the export, then comes a line for each row. The last line
//! has a hash over all others, so that a truncated or changed file is detected.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::backup::{check_file, check_target};
use super::staging_dir::StagingDir;
use super::{ReportProgress, StoreContents, copy, integrity, line};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::model::chain::hex;
use crate::store::sqlite::files::create_private_file;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::{SCHEMA_VERSION, connection};
use crate::store::tables::TABLES;

/// Where the lines are written.
pub enum Destination<'a> {
    /// A file, which appears once it is complete.
    File {
        /// The file.
        path: &'a Path,
        /// Whether an existing file is replaced.
        replace: bool,
    },
    /// A stream, such as standard output.
    Stream(&'a mut dyn Write),
}

/// The name of an export in a staging directory.
const EXPORT: &str = "export.jsonl";

/// Exports a store. Returns its contents and the number of lines before the last.
///
/// The lines are read from a copy: a slow reader of the stream must not prevent WAL checkpoints of the store.
///
/// # Errors
/// If the store fails the integrity check, or if the lines cannot be written.
pub fn export(
    store: &Path,
    destination: Destination<'_>,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<(StoreContents, u64)> {
    if let Destination::File { path, replace } = &destination {
        check_target(store, path, *replace)?;
    }
    let staging = match &destination {
        Destination::File { path, .. } => StagingDir::beside(path)?,
        // The store may be on a read-only disk.
        Destination::Stream(_) => StagingDir::beside(store).or_else(|_| StagingDir::temporary())?,
    };
    copy::snapshot(store, &staging.copy(), report)?;
    export_copy(staging, destination, clock, report)
}

/// The staging directory for the export of a store that is no file.
///
/// # Errors
/// If the lines could not be written to the destination.
pub(in crate::store) fn prepare_export(destination: &Destination<'_>) -> Result<StagingDir> {
    match destination {
        Destination::File { path, replace } => {
            check_file(path, *replace)?;
            StagingDir::beside(path)
        }
        Destination::Stream(_) => StagingDir::temporary(),
    }
}

/// Checks the copy of a store in a staging directory and writes its lines. Returns its contents and the number of lines
/// before the last.
///
/// # Errors
/// If the copy fails the integrity check, or if the lines cannot be written.
pub(in crate::store) fn export_copy(
    staging: StagingDir,
    destination: Destination<'_>,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<(StoreContents, u64)> {
    let file = staging.copy();
    let contents = integrity::check(&file, clock, report).map_err(|error| {
        Error::new(error.code, format!("nothing was exported: the store fails the integrity check: {error}"))
    })?;
    let from = connection::open_reader(&file)?;
    match destination {
        Destination::Stream(out) => {
            let mut out = LineWriter::new(BufWriter::new(out));
            write_lines(&from, &contents, clock, &mut out, report)?;
            let lines = out.number;
            out.finish().map_err(|error| Error::internal("the export cannot be printed", error))?;
            Ok((contents, lines))
        }
        Destination::File { path, replace } => {
            let failed =
                |error| Error::internal(format!("the export {} cannot be written", path.display()), error);
            let export = staging.file(EXPORT);
            create_private_file(&export)?;
            let file = File::options().write(true).open(&export).map_err(failed)?;
            let mut out = LineWriter::new(BufWriter::new(file));
            write_lines(&from, &contents, clock, &mut out, report)?;
            let lines = out.number;
            out.finish().map_err(failed)?;
            // The size of the export, not of the copy it was read from.
            let bytes = export.metadata().map_err(failed)?.len();
            staging.publish(EXPORT, path, replace)?;
            Ok((StoreContents { bytes, ..contents }, lines))
        }
    }
}

/// Writes lines, counts them and hashes them.
struct LineWriter<W> {
    out: W,
    number: u64,
    hash: Sha256,
}

impl<W: Write> LineWriter<W> {
    fn new(out: W) -> Self {
        LineWriter { out, number: 0, hash: Sha256::new() }
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.number += 1;
        self.hash.update(line);
        self.out.write_all(line)
    }

    /// Writes the last line.
    fn finish(mut self) -> io::Result<()> {
        let hash = hex(&self.hash.finalize());
        writeln!(self.out, "{}", json!({ line::LINE: line::LAST, "lines": self.number, "sha256": hash }))?;
        self.out.flush()
    }
}

fn write_lines<W: Write>(
    from: &Connection,
    contents: &StoreContents,
    clock: &Clock,
    out: &mut LineWriter<W>,
    report: ReportProgress<'_>,
) -> Result<()> {
    let read_error = |error| sql_error("the copy could not be read", error);
    let write_error = |error: io::Error| Error::internal("the export cannot be written", error);
    let mut counts = Map::new();
    for table in TABLES {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.name);
        let count: u64 = from.query_row(&sql, [], |row| row.get(0)).map_err(read_error)?;
        counts.insert(table.name.to_owned(), Value::from(count));
    }
    let total: u64 = counts.values().filter_map(Value::as_u64).sum();
    let first = json!({
        line::LINE: line::FIRST,
        "format": line::FORMAT,
        "schema": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "exported": clock.now().to_string(),
        "change": contents.latest_change,
        "counts": counts,
    });
    out.write_line(format!("{first}\n").as_bytes()).map_err(write_error)?;
    let (mut buffer, mut done) = (Vec::new(), 0);
    for table in TABLES {
        let mut statement = from.prepare(&line::select(table)).map_err(read_error)?;
        let mut rows = statement.query([]).map_err(read_error)?;
        while let Some(row) = rows.next().map_err(read_error)? {
            line::write_row(table, row, &mut buffer)?;
            out.write_line(&buffer).map_err(write_error)?;
            done += 1;
            if done % 1_000 == 0 {
                report("Writing", done, total);
            }
        }
    }
    Ok(())
}
