//! The items of the demo: the commits of `examples/commits.jsonl`, compressed.

use std::io::Read as _;

use flate2::read::GzDecoder;

/// `gzip -9 -n examples/commits.jsonl`; a test compares both.
const COMPRESSED: &[u8] = include_bytes!("commits.jsonl.gz");

/// The items as JSONL.
///
/// # Errors
/// The data in this program is damaged.
pub(super) fn commit_items() -> std::io::Result<String> {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_are_those_of_the_example() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/commits.jsonl");
        let example = std::fs::read_to_string(example).unwrap();
        assert!(
            commit_items().unwrap() == example,
            "gzip -9 -n < examples/commits.jsonl > src/cli/demo/commits.jsonl.gz"
        );
    }
}
