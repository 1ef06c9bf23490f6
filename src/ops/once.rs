//! A repeated request with the same key answers what the first one answered.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::model::text::excerpt;
use crate::store::Write;

/// A key and what it was used for.
pub(super) struct RequestKey {
    key: String,
    fingerprint: Vec<u8>,
}

impl RequestKey {
    /// The key of a request, if it has one; the fingerprint is over all its fields.
    pub(super) fn of(key: Option<&str>, request: &impl Serialize) -> Result<Option<Self>> {
        let Some(key) = key else { return Ok(None) };
        let text = serde_json::to_string(request)
            .map_err(|error| Error::internal("the request could not be written as JSON", error))?;
        Ok(Some(RequestKey { key: key.to_owned(), fingerprint: Sha256::digest(text.as_bytes()).to_vec() }))
    }
}

/// Runs `change` the first time; afterwards gives its first answer, marked by `repeated`.
pub(super) fn once<R: Serialize + DeserializeOwned>(
    tx: &dyn Write,
    key: Option<&RequestKey>,
    operation: &str,
    repeated: impl FnOnce(&mut R),
    change: impl FnOnce(&dyn Write) -> Result<R>,
) -> Result<R> {
    let Some(key) = key else { return change(tx) };
    if let Some((first, fingerprint, reply)) = tx.answered(&key.key)? {
        if first != operation || fingerprint != key.fingerprint {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "request_key '{}' was used for another {first} request; use a new key for a new request",
                    excerpt(&key.key)
                ),
            ));
        }
        let mut reply = serde_json::from_str(&reply)
            .map_err(|error| Error::internal("a kept reply could not be read", error))?;
        repeated(&mut reply);
        return Ok(reply);
    }
    let reply = change(tx)?;
    let text = serde_json::to_string(&reply)
        .map_err(|error| Error::internal("the reply could not be written as JSON", error))?;
    tx.keep_answer(&key.key, operation, &key.fingerprint, &text)?;
    Ok(reply)
}
