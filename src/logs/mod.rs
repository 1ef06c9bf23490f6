//! The output of workers: two logs per attempt at a chunk, standard output and standard error, limited in size.
//!
//! A log consists of three files: the head, and two files for the tail that are written in turn. Each tail file starts
//! with a header that contains its position in the stream, so a reader knows how many bytes between head and tail were
//! dropped. A reader can follow a log while it is written, and a crash loses nothing that is still in the files.

mod log_files;
mod reader;
mod remove_oldest;
#[cfg(test)]
mod tests;
mod writer;

pub use log_files::{Stream, attempts_of, log_path, logs_folder};
pub use reader::{LogPart, LogReader};
pub use remove_oldest::{RemovedLogs, remove_oldest};
pub use writer::LogWriter;
