//! The result of adding a server to the text of a client's file.

/// The text of a client's file with the server in it.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) text: String,
    /// The entry that the file had for this server, if it had other values.
    pub(super) previous: Option<String>,
}
