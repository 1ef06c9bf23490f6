//! Idempotency keys: a request that is repeated with the same `request_key` gets the stored response of the
//! first one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::store::{StoreRead, StoreWrite};

/// An idempotency key and the fingerprint of the request that carries it.
#[derive(Clone)]
pub(in crate::ops) struct RequestKey {
    /// As the caller gave it.
    given: String,
    /// As it is stored: with the project and the author, whose keys do not meet those of others.
    key: String,
    fingerprint: Vec<u8>,
}

impl RequestKey {
    /// The key of a request, if the request has one. The fingerprint covers all fields of the request.
    pub(in crate::ops) fn new(
        session: &Session,
        key: Option<&str>,
        request: &impl Serialize,
    ) -> Result<Option<Self>> {
        let Some(given) = key else { return Ok(None) };
        let unwritable = |error| Error::internal("the request could not be written as JSON", error);
        let request = serde_json::to_value(request).map_err(unwritable)?;
        let project = session.server_scope().project.as_deref().or(request["project"].as_str()).unwrap_or("");
        let text = serde_json::to_string(&request).map_err(unwritable)?;
        Ok(Some(RequestKey {
            // Neither part contains a control character.
            key: format!("{project}\u{1f}{}\u{1f}{given}", session.caller()),
            given: given.to_owned(),
            fingerprint: Sha256::digest(text.as_bytes()).to_vec(),
        }))
    }
}

/// A stored refusal. Only a refusal that wrote a late receipt is stored: any other may be repeated.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    refused: Code,
    message: String,
    receipt: u64,
}

/// A reply that can be stored and sent again.
pub(in crate::ops) trait Repeatable: Serialize + DeserializeOwned {
    /// Marks the reply as a repetition.
    fn mark_repeated(&mut self);
}

/// The stored response to a key, marked as repeated, if there is one. Operations call this before they
/// prepare a large write.
///
/// # Errors
/// The stored refusal; `conflict` if the key was used for another request.
pub(in crate::ops) fn stored_response<R: Repeatable + Send + 'static>(
    session: &Session,
    key: Option<&RequestKey>,
    operation: &'static str,
) -> Result<Option<R>> {
    let Some(key) = key.cloned() else { return Ok(None) };
    let read_key = key.clone();
    if session.read(move |tx| load_response::<R>(tx, &read_key, operation))?.is_none() {
        return Ok(None);
    }
    // A read may see what another process has committed but not yet synced. A write is answered only after
    // everything that it saw is on disk.
    session.write(move |tx| load_response(tx, &key, operation))
}

/// Whether a response is stored under a key.
pub(in crate::ops) fn has_response(tx: &dyn StoreRead, key: Option<&RequestKey>) -> Result<bool> {
    Ok(match key {
        Some(key) => tx.stored_response(&key.key)?.is_some(),
        None => false,
    })
}

fn load_response<R: Repeatable>(tx: &dyn StoreRead, key: &RequestKey, operation: &str) -> Result<Option<R>> {
    let Some((first, fingerprint, reply)) = tx.stored_response(&key.key)? else { return Ok(None) };
    if first != operation || fingerprint != key.fingerprint {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "request_key: '{}' was used for another request to {first}(); choose a new key for a new request",
                excerpt(&key.given)
            ),
        ));
    }
    if let Ok(refused) = serde_json::from_str::<Refused>(&reply) {
        return Err(Error::new(refused.refused, refused.message).with_receipt(refused.receipt));
    }
    let mut reply: R = serde_json::from_str(&reply)
        .map_err(|error| Error::internal("a stored response could not be read", error))?;
    reply.mark_repeated();
    Ok(Some(reply))
}

/// Runs `change` and stores its response under the key. If the key has a stored response, returns that one,
/// marked as repeated, and does not run `change`.
pub(in crate::ops) fn run_once<R: Repeatable>(
    tx: &dyn StoreWrite,
    key: Option<&RequestKey>,
    operation: &str,
    change: impl FnOnce(&dyn StoreWrite) -> Result<R>,
) -> Result<R> {
    let Some(key) = key else { return change(tx) };
    if let Some(reply) = load_response(tx, key, operation)? {
        return Ok(reply);
    }
    let response = change(tx);
    let text = match &response {
        Ok(reply) => serde_json::to_string(reply),
        Err(Error { code, message, receipt: Some(receipt), .. }) => {
            serde_json::to_string(&Refused { refused: *code, message: message.clone(), receipt: *receipt })
        }
        Err(_) => return response,
    };
    let text = text.map_err(|error| Error::internal("the reply could not be written as JSON", error))?;
    tx.store_response(&key.key, operation, &key.fingerprint, &text)?;
    response
}
