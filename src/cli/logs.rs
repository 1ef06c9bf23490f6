//! `tasktally logs`: what a chunk's worker printed.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::decode::Decoder;
use crate::error::{Error, Result};
use crate::logs::{self, LogPart, LogReader, Stream};
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::ops::Session;

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a chunk's worker printed.
#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// The chunk
    #[arg(value_name = "CHUNK")]
    chunk: TaskId,
    /// Which attempt, from 1 [default: the newest that has a log]
    #[arg(long)]
    attempt: Option<u64>,
    /// Only standard output
    #[arg(long, conflicts_with = "err")]
    out: bool,
    /// Only standard error
    #[arg(long)]
    err: bool,
    /// Go on until the attempt has ended
    #[arg(long)]
    follow: bool,
    /// Only so many lines of the end of each
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    /// As it was printed: nothing escaped, no labels
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

/// Prints a log.
///
/// # Errors
/// Where there is no such chunk, or none of its attempts has a log: what to look at instead.
pub(super) fn run(request: &Logs, session: &Session, json: bool, out: &mut impl Write) -> Result<u8> {
    let begun = standing(session, &request.chunk)?;
    let attempt = attempt(request, session)?;
    let mut printer = Printer { out, json, raw: request.raw, last: None, fresh: true };
    let mut streams: Vec<(Stream, LogReader, Decoder)> = Stream::ALL
        .iter()
        .filter(|stream| !(request.out && **stream == Stream::Err || request.err && **stream == Stream::Out))
        .map(|stream| {
            let path = logs::log_path(session.folder(), &request.chunk, attempt, *stream);
            (*stream, LogReader::new(&path), Decoder::default())
        })
        .collect();
    for (stream, reader, decoder) in &mut streams {
        match request.tail {
            Some(lines) => tail(reader, lines, &mut |part| printer.put(*stream, decoder, part)),
            None => reader.read(&mut |part| printer.put(*stream, decoder, part)),
        }
        .map_err(|error| unreadable(&request.chunk, error))?;
    }
    // What was printed before the end was seen is read after it, once more.
    let mut goes_on = request.follow && begun.is_some();
    while goes_on {
        std::thread::sleep(LOOK_EVERY);
        goes_on = standing(session, &request.chunk)? == begun;
        for (stream, reader, decoder) in &mut streams {
            reader
                .read(&mut |part| printer.put(*stream, decoder, part))
                .map_err(|error| unreadable(&request.chunk, error))?;
        }
    }
    printer.end().map_err(|error| Error::internal("nothing can be printed", error))?;
    Ok(0)
}

fn unreadable(chunk: &TaskId, error: std::io::Error) -> Error {
    Error::internal(format!("the log of {chunk} cannot be read or printed"), error)
}

/// The generation of the claim under which a chunk is being worked on, if it is.
fn standing(session: &Session, chunk: &TaskId) -> Result<Option<u64>> {
    let id = chunk.clone();
    session.read(move |tx| {
        let task = tx.task(&id)?;
        if task.is_batch {
            return Err(Error::invalid(format!(
                "CHUNK: {id} is a batch; a chunk of it is named {id}.N, tasktally get-batch {id} lists them"
            )));
        }
        Ok((task.status == Status::InProgress).then_some(task.generation))
    })
}

/// The attempt that is asked for.
fn attempt(request: &Logs, session: &Session) -> Result<u64> {
    let chunk = &request.chunk;
    let known = logs::attempts_of(session.folder(), chunk)?;
    let Some(newest) = known.last() else {
        return Err(Error::not_found(format!(
            "Chunk {chunk} has no log: only background workers have one, and old ones are removed. Its receipts: tasktally get-task {chunk}"
        )));
    };
    match request.attempt {
        None => Ok(*newest),
        Some(asked) if known.contains(&asked) => Ok(asked),
        Some(asked) => Err(Error::not_found(format!(
            "attempt: {asked} of chunk {chunk} has no log; there are those of {}",
            known.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// Gives the last lines of what is there, in one piece.
fn tail(
    reader: &mut LogReader,
    lines: usize,
    visit: &mut dyn FnMut(LogPart<'_>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    // Each with its end; the last one may have none yet.
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    reader.read(&mut |part| {
        let LogPart::Bytes(bytes) = part else { return Ok(()) };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match kept.back_mut().filter(|last| !last.ends_with(b"\n")) {
                Some(last) => last.extend_from_slice(piece),
                None => kept.push_back(piece.to_vec()),
            }
            if kept.len() > lines {
                kept.pop_front();
            }
        }
        Ok(())
    })?;
    let kept: Vec<u8> = kept.into_iter().flatten().collect();
    if kept.is_empty() { Ok(()) } else { visit(LogPart::Bytes(&kept)) }
}

/// Prints pieces of two streams, with a label where one follows the other.
struct Printer<'a, W> {
    out: &'a mut W,
    json: bool,
    raw: bool,
    last: Option<Stream>,
    /// Whether the cursor is at the beginning of a line.
    fresh: bool,
}

impl<W: Write> Printer<'_, W> {
    fn put(&mut self, stream: Stream, decoder: &mut Decoder, part: LogPart<'_>) -> std::io::Result<()> {
        if self.json {
            let line = match part {
                LogPart::Bytes(bytes) => {
                    json!({ "stream": stream, "text": String::from_utf8_lossy(bytes) })
                }
                LogPart::Omitted(count) => json!({ "stream": stream, "left_out": count }),
            };
            return writeln!(self.out, "{line}");
        }
        if !self.raw && self.last.replace(stream) != Some(stream) {
            self.new_line()?;
            writeln!(self.out, "── {stream} ──")?;
        }
        match part {
            LogPart::Bytes(bytes) if self.raw => self.out.write_all(bytes)?,
            LogPart::Bytes(bytes) => self.text(&decoder.decode(bytes))?,
            LogPart::Omitted(count) => {
                self.new_line()?;
                writeln!(self.out, "… {count} bytes left out …")?;
            }
        }
        self.out.flush()
    }

    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.fresh = text.ends_with('\n') || (self.fresh && text.is_empty());
        self.out.write_all(text.as_bytes())
    }

    fn new_line(&mut self) -> std::io::Result<()> {
        if self.fresh || self.raw { Ok(()) } else { self.text("\n") }
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.new_line()?;
        self.out.flush()
    }
}
