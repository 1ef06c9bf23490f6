//! A repeated request with the same key answers what the first one answered.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::store::{Read, Write};

/// A key and what it was used for.
#[derive(Clone)]
pub(in crate::ops) struct RequestKey {
    key: String,
    fingerprint: Vec<u8>,
}

impl RequestKey {
    /// The key of a request, if it has one; the fingerprint is over all its fields.
    pub(in crate::ops) fn of(key: Option<&str>, request: &impl Serialize) -> Result<Option<Self>> {
        let Some(key) = key else { return Ok(None) };
        let text = serde_json::to_string(request)
            .map_err(|error| Error::internal("the request could not be written as JSON", error))?;
        Ok(Some(RequestKey { key: key.to_owned(), fingerprint: Sha256::digest(text.as_bytes()).to_vec() }))
    }
}

/// A refusal that is kept because it kept a late receipt.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    refused: Code,
    message: String,
    receipt: u64,
}

/// A reply that can be given again.
pub(in crate::ops) trait Repeatable: Serialize + DeserializeOwned {
    /// Marks the reply as given before.
    fn mark_repeated(&mut self);
}

/// What a request with this key was answered, if there was one, marked as repeated: for requests
/// that do much before they write.
///
/// # Errors
/// The first refusal, or `conflict` where the key was used for something else.
pub(in crate::ops) fn answered_before<R: Repeatable + Send + 'static>(
    session: &Session,
    key: Option<&RequestKey>,
    operation: &'static str,
) -> Result<Option<R>> {
    let Some(key) = key.cloned() else { return Ok(None) };
    let looked = key.clone();
    if session.read(move |tx| answered::<R>(tx, &looked, operation))?.is_none() {
        return Ok(None);
    }
    // A read may see what another process has committed and not synced yet: only a write is answered after
    // all that it saw is on disk.
    session.write(move |tx| answered(tx, &key, operation))
}

fn answered<R: Repeatable>(tx: &dyn Read, key: &RequestKey, operation: &str) -> Result<Option<R>> {
    let Some((first, fingerprint, reply)) = tx.answered(&key.key)? else { return Ok(None) };
    if first != operation || fingerprint != key.fingerprint {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "request_key '{}' was used for another {first} request; use a new key for a new request",
                excerpt(&key.key)
            ),
        ));
    }
    if let Ok(refused) = serde_json::from_str::<Refused>(&reply) {
        return Err(Error::new(refused.refused, refused.message).with_receipt(refused.receipt));
    }
    let mut reply: R = serde_json::from_str(&reply)
        .map_err(|error| Error::internal("a kept reply could not be read", error))?;
    reply.mark_repeated();
    Ok(Some(reply))
}

/// Runs `change` the first time; afterwards gives its first answer, marked as repeated.
pub(in crate::ops) fn once<R: Repeatable>(
    tx: &dyn Write,
    key: Option<&RequestKey>,
    operation: &str,
    change: impl FnOnce(&dyn Write) -> Result<R>,
) -> Result<R> {
    let Some(key) = key else { return change(tx) };
    if let Some(reply) = answered(tx, key, operation)? {
        return Ok(reply);
    }
    let outcome = change(tx);
    let text = match &outcome {
        Ok(reply) => serde_json::to_string(reply),
        Err(Error { code, message, receipt: Some(receipt), .. }) => {
            serde_json::to_string(&Refused { refused: *code, message: message.clone(), receipt: *receipt })
        }
        Err(_) => return outcome,
    };
    let text = text.map_err(|error| Error::internal("the reply could not be written as JSON", error))?;
    tx.keep_answer(&key.key, operation, &key.fingerprint, &text)?;
    outcome
}
