//! `tasktally logs`: the output of a chunk's background worker.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use super::log_printer::{LogFormat, LogPrinter};
use crate::error::{Error, Result};
use crate::host::host_name;
use crate::logs::{self, LogPart, LogReader, Stream};
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::terminal::{StreamDecoder, output_error};

/// How often a followed log is read again.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Print the output of a chunk's background worker.
#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// The chunk's id
    #[arg(value_name = "CHUNK")]
    chunk: TaskId,
    /// The number of the attempt, from 1 [default: the newest attempt that has a log]
    #[arg(long, value_parser = parse_attempt)]
    attempt: Option<u64>,
    /// Print only standard output
    #[arg(long, conflicts_with = "err")]
    out: bool,
    /// Print only standard error
    #[arg(long)]
    err: bool,
    /// Continue to print until the attempt has ended
    #[arg(long)]
    follow: bool,
    /// Print only this many lines from the end of each stream
    #[arg(long, value_name = "LINES", value_parser = parse_lines)]
    tail: Option<usize>,
    /// Print the bytes of the log: not escaped, without labels of streams
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

/// Parses the number of an attempt.
fn parse_attempt(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("0 is out of range; allowed: 1 or more".to_owned()),
        Ok(attempt) => Ok(attempt),
        Err(_) => Err(format!("'{}' is not a whole number; allowed: 1 or more", excerpt(text))),
    }
}

/// Parses a number of lines.
fn parse_lines(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("'{}' is not a whole number; allowed: 0 or more", excerpt(text)))
}

/// One stream of an attempt.
struct LogStream {
    stream: Stream,
    reader: LogReader,
    decoder: StreamDecoder,
}

/// Prints a log.
///
/// # Errors
/// If there is no such chunk, or the attempt has no log.
pub(super) fn run(request: &Logs, session: &Session, json: bool, out: &mut impl Write) -> Result<u8> {
    let id = request.chunk.clone();
    // Logs are stored under the full id; the request may leave out leading zeros of the chunk's number.
    let request = &Logs { chunk: session.read(move |tx| Ok(tx.task(&id)?.id))?, ..*request };
    let chunk = &request.chunk;
    let first_claim = live_generation(session, chunk)?;
    let mut streams = open_streams(request, session)?;
    let format = match (json, request.raw) {
        (true, _) => LogFormat::Json,
        (false, true) => LogFormat::Raw,
        (false, false) => LogFormat::Text,
    };
    let mut printer = LogPrinter::new(out, format);
    for LogStream { stream, reader, decoder } in &mut streams {
        let mut print = |part: LogPart<'_>| printer.print(*stream, decoder, part);
        match request.tail {
            Some(lines) => read_tail(reader, lines, &mut print),
            None => reader.read(&mut print),
        }
        .map_err(|error| log_error(chunk, error))?;
    }
    let mut is_running = request.follow && first_claim.is_some();
    while is_running {
        std::thread::sleep(FOLLOW_INTERVAL);
        // Checked before the read, so that the output just before the end is read as well.
        is_running = live_generation(session, chunk)? == first_claim;
        for LogStream { stream, reader, decoder } in &mut streams {
            reader
                .read(&mut |part| printer.print(*stream, decoder, part))
                .map_err(|error| log_error(chunk, error))?;
        }
    }
    printer.finish().map_err(output_error)?;
    Ok(0)
}

fn log_error(chunk: &TaskId, error: io::Error) -> Error {
    // Only the output can be a pipe; the log is a file.
    if error.kind() == ErrorKind::BrokenPipe {
        return output_error(error);
    }
    Error::internal(format!("the log of {chunk} cannot be read or printed"), error)
}

fn open_streams(request: &Logs, session: &Session) -> Result<Vec<LogStream>> {
    let attempt = find_attempt(request, session)?;
    let is_wanted = |stream: &&Stream| match stream {
        Stream::Out => !request.err,
        Stream::Err => !request.out,
    };
    let open = |stream: &Stream| {
        let path = logs::log_path(session.folder(), &request.chunk, attempt, *stream);
        LogStream { stream: *stream, reader: LogReader::new(&path), decoder: StreamDecoder::default() }
    };
    Ok(Stream::ALL.iter().filter(is_wanted).map(open).collect())
}

/// The generation of the chunk's claim, if a worker is working on the chunk.
fn live_generation(session: &Session, chunk: &TaskId) -> Result<Option<u64>> {
    let id = chunk.clone();
    session.read(move |tx| {
        let task = tx.task(&id)?;
        if task.is_batch {
            return Err(Error::invalid(format!(
                "CHUNK: {id} is a batch. The ids of its chunks are {id}.N; get_batch(id=\"{id}\") lists them"
            )));
        }
        if !task.is_chunk {
            return Err(Error::invalid(format!(
                "CHUNK: {id} is a task, not a chunk; get_task(id=\"{id}\") shows it"
            )));
        }
        Ok((task.status == Status::InProgress).then_some(task.generation))
    })
}

/// The number of the attempt to print.
fn find_attempt(request: &Logs, session: &Session) -> Result<u64> {
    let chunk = &request.chunk;
    let attempts = logs::attempts_of(session.folder(), chunk)?;
    let elsewhere = logged_elsewhere(request, session, &attempts)?;
    if let Some((attempt, host)) = &elsewhere
        && (attempts.is_empty() || request.attempt.is_some())
    {
        return Err(Error::not_found(format!(
            "attempt {attempt} of chunk {chunk} was worked on host {}, where its log is; run the same command there",
            excerpt(host)
        )));
    }
    if let Some((attempt, host)) = elsewhere {
        tracing::warn!(
            "the newest attempt of chunk {chunk} is {attempt}, whose log is on host {}; this is the newest log here",
            excerpt(&host)
        );
    }
    let Some(newest) = attempts.last() else {
        return Err(Error::not_found(format!(
            "Chunk {chunk} has no log: only background workers have logs, and old logs are removed. get_task(id=\"{chunk}\") shows its receipts"
        )));
    };
    match request.attempt {
        None => Ok(*newest),
        Some(attempt) if attempts.contains(&attempt) => Ok(attempt),
        Some(attempt) => Err(Error::not_found(format!(
            "--attempt: attempt {attempt} of chunk {chunk} has no log; these have one: {}",
            attempts.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The attempt whose log is asked for and the host that has it, if the log is not here but on another machine.
fn logged_elsewhere(request: &Logs, session: &Session, here: &[u64]) -> Result<Option<(u64, String)>> {
    let chunk = request.chunk.clone();
    let hosts = session.read(move |tx| tx.attempt_hosts(tx.task(&chunk)?.row))?;
    let wanted = match request.attempt {
        Some(attempt) => hosts.into_iter().find(|(number, _)| *number == attempt),
        None => hosts.into_iter().next_back(),
    };
    // An attempt that is recorded for this machine, too, has no log if its log was removed.
    Ok(wanted.filter(|(attempt, host)| !here.contains(attempt) && *host != host_name()))
}

/// Reads to the end, and passes only the last lines to `visit`.
fn read_tail(
    reader: &mut LogReader,
    lines: usize,
    visit: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
) -> io::Result<()> {
    // Each with its line feed; the last one may have none yet.
    let mut newest: VecDeque<Vec<u8>> = VecDeque::new();
    reader.read(&mut |part| {
        let LogPart::Bytes(bytes) = part else { return Ok(()) };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match newest.back_mut().filter(|last| !last.ends_with(b"\n")) {
                Some(last) => last.extend_from_slice(piece),
                None => newest.push_back(piece.to_vec()),
            }
            if newest.len() > lines {
                newest.pop_front();
            }
        }
        Ok(())
    })?;
    let newest: Vec<u8> = newest.into_iter().flatten().collect();
    if newest.is_empty() { Ok(()) } else { visit(LogPart::Bytes(&newest)) }
}
