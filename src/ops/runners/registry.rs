//! The record of runners: which process runs a batch, and when it was last alive.

use crate::error::Result;
use crate::model::id::Token;
use crate::model::task::Row;
use crate::ops::Session;
use crate::store::Runner;

/// Records this process as the runner of a batch, in place of an earlier one. Returns the run marker, which all
/// processes of its workers get in their environment.
///
/// # Errors
/// If the store cannot be written.
pub fn register_runner(session: &Session, batch: Row, profile: &str, pid: u32, host: &str) -> Result<String> {
    let (profile, host) = (profile.to_owned(), host.to_owned());
    session.write(move |tx| {
        let nonce = Token::random().to_string();
        let (since, seen) = (tx.now(), tx.now());
        let runner = Runner { batch, nonce: nonce.clone(), profile, pid, host, since, seen, note: None };
        tx.insert_runner(&runner)?;
        Ok(nonce)
    })
}

/// Records a runner's heartbeat, and what the runner waits for.
///
/// # Errors
/// If the store cannot be written.
pub fn record_runner_heartbeat(session: &Session, batch: Row, waits_for: Option<String>) -> Result<()> {
    session.write(move |tx| tx.runner_lives(batch, waits_for.as_deref()))
}

/// The recorded runner of a batch.
///
/// # Errors
/// If the store cannot be read.
pub fn find_runner(session: &Session, batch: Row) -> Result<Option<Runner>> {
    session.read(move |tx| tx.runner(batch))
}

/// Removes a runner from the record, unless another runner has replaced it.
///
/// # Errors
/// If the store cannot be written.
pub fn unregister_runner(session: &Session, batch: Row, nonce: &str) -> Result<()> {
    let nonce = nonce.to_owned();
    session.write(move |tx| tx.remove_runner(batch, &nonce))
}
