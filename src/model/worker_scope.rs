//! The scope of a background worker: the one chunk that it may read and write, under its runner's claim.

use std::fmt;
use std::str::FromStr;

use super::id::{TaskId, Token};
use super::text::excerpt;

/// A chunk and the token of the runner's claim on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerScope {
    /// The chunk.
    pub chunk: TaskId,
    /// The claim's token.
    pub token: Token,
}

impl WorkerScope {
    /// The chunk's batch. A chunk's id is its batch's id, a dot and a number.
    pub fn batch(&self) -> TaskId {
        let batch = self.chunk.as_str().rsplit_once('.').map_or(self.chunk.as_str(), |(batch, _)| batch);
        TaskId::stored(batch.to_owned())
    }
}

impl fmt::Display for WorkerScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chunk, self.token)
    }
}

impl FromStr for WorkerScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(chunk, token)| {
            Some(WorkerScope { chunk: chunk.parse().ok()?, token: token.parse().ok()? })
        });
        // The token is secret, so the message does not contain it.
        parts.ok_or_else(|| {
            let chunk = text.split(':').next().unwrap_or_default();
            format!(
                "TASKTALLY_JOB: '{}…' is not the scope of a worker; allowed: CHUNK:TOKEN, as the runner sets it",
                excerpt(chunk)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_scope_names_its_chunk_and_batch() {
        let job: WorkerScope = "k3m9p0q1r2s3.07:run-abc".parse().unwrap();
        assert_eq!((job.chunk.as_str(), job.token.as_str()), ("k3m9p0q1r2s3.07", "run-abc"));
        assert_eq!(job.batch().as_str(), "k3m9p0q1r2s3");
        assert_eq!(job.to_string().parse(), Ok(job));
        for bad in ["", "abc", "a b:tok", "abc:", ":tok", "../x:tok"] {
            assert!(bad.parse::<WorkerScope>().is_err(), "{bad}");
        }
    }
}
