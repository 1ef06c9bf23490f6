//! The result of adding a server to the text of a client's file.

/// The text of a client's file with the server in it.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) text: String,
    /// Whether the file already had an entry for this server, with other values.
    pub(super) replaced: bool,
}
