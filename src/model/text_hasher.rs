//! SHA-256 over a list of texts.

use sha2::{Digest, Sha256};

/// Hashes texts one after another. Each is preceded by its length, so that different lists never hash the same bytes.
#[derive(Debug, Clone, Default)]
pub struct PartHasher(Sha256);

impl PartHasher {
    /// A hasher that has hashed nothing but an earlier hash.
    pub fn after(before: &[u8; 32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(before);
        PartHasher(hasher)
    }

    /// Hashes a text.
    pub fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// The hash of all texts.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
