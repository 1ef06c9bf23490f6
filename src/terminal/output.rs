//! Writing to standard output, and recognising that its reader has gone.

use std::io::{self, ErrorKind, Write};

use crate::error::{Error, Result};

/// Why standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct OutputError(io::Error);

/// Prints a text and a line feed.
///
/// # Errors
/// If the output cannot be written.
pub(crate) fn print_line(out: &mut (impl Write + ?Sized), text: &str) -> Result<()> {
    writeln!(out, "{text}").map_err(output_error)
}

/// The error for output that could not be written.
pub(crate) fn output_error(error: io::Error) -> Error {
    Error::internal("cannot write the output", OutputError(error))
}

/// Turns the error of a writer that was given standard output into [`output_error`] if the reader has gone.
pub(crate) fn recognise_closed_output(error: Error) -> Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    if source.is_some_and(|source| source.kind() == ErrorKind::BrokenPipe) {
        output_error(ErrorKind::BrokenPipe.into())
    } else {
        error
    }
}

/// Whether a command could not print because the reader of its output has exited, as `head` does.
pub(crate) fn is_closed_output(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<OutputError>());
    source.is_some_and(|OutputError(error)| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_output_without_a_reader_counts_as_closed() {
        assert!(is_closed_output(&output_error(ErrorKind::BrokenPipe.into())));
        assert!(!is_closed_output(&output_error(ErrorKind::StorageFull.into())));
        let elsewhere = Error::internal("a worker's input", io::Error::from(ErrorKind::BrokenPipe));
        assert!(!is_closed_output(&elsewhere));
        assert!(is_closed_output(&recognise_closed_output(elsewhere)));
    }
}
