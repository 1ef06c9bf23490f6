//! Random numbers that a printed seed reproduces.

use std::time::{SystemTime, UNIX_EPOCH};

/// `TASKTALLY_SEED`, or a seed from the clock. It is printed either way.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = match std::env::var("TASKTALLY_SEED") {
        Ok(text) => text.parse().expect("TASKTALLY_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64,
    };
    println!("{test}: TASKTALLY_SEED={seed}");
    seed
}

/// A xorshift generator.
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator with the seed of [`seed`].
    pub(crate) fn seeded(test: &str) -> Self {
        Rng(seed(test) | 1)
    }

    /// A generator with this seed, for example one of several threads.
    pub(crate) fn with_seed(seed: u64) -> Self {
        Rng(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number from 0 to `end - 1`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }
}
