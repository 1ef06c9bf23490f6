//! Verification of a task's hash chain of receipts, and the chain head that can be exported and compared later.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::content_hash::ContentHash;
use super::id::TaskId;
use super::receipt::{GENESIS_HASH, Receipt};
use super::text::excerpt;

/// Verifies a task's receipts, one after another.
#[derive(Debug)]
pub struct ChainVerifier {
    number: u64,
    head: [u8; 32],
    /// The number of the first receipt that does not match its hash.
    bad: Option<u64>,
}

impl ChainVerifier {
    /// A verifier that expects the first receipt.
    pub fn at_genesis() -> Self {
        ChainVerifier { number: 0, head: GENESIS_HASH, bad: None }
    }

    /// Checks the next receipt against its stored hash.
    pub fn verify_next(&mut self, task: &str, receipt: &Receipt, hash: [u8; 32]) {
        self.number += 1;
        if receipt.number != self.number || receipt.hash(task, &self.head) != hash {
            self.bad.get_or_insert(self.number);
        }
        self.head = hash;
    }

    /// The number of receipts checked so far.
    pub fn receipt_count(&self) -> u64 {
        self.number
    }

    /// The number of the first receipt that does not match its hash.
    pub fn first_invalid(&self) -> Option<u64> {
        self.bad
    }

    /// Whether all `receipts` were checked and each matched its hash.
    pub fn is_intact(&self, receipts: u64) -> bool {
        self.bad.is_none() && self.number == receipts
    }

    /// The last receipt's hash, in hexadecimal digits.
    pub fn head_hash(&self) -> String {
        hex(&self.head)
    }
}

/// The bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A task's chain when it was exported: a line `ID NUMBER HASH [ITEMS CONTENT_HASH]`, or the same as a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainHead {
    /// The task's id.
    pub task: TaskId,
    /// The number of its receipts.
    pub number: u64,
    /// The hash of the last receipt, in hexadecimal digits.
    pub hash: String,
    /// The hash of its content, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentHead>,
}

/// The hash of a task's content when it was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentHead {
    /// How many items a chunk had; 0 for other tasks.
    pub items: u64,
    /// The hash, in hexadecimal digits.
    pub hash: String,
}

impl ContentHead {
    /// The head of a content with this hash.
    pub fn new(items: u64, hash: &ContentHash) -> Self {
        ContentHead { items, hash: hex(hash) }
    }

    /// Whether it was exported for this hash.
    pub fn matches(&self, hash: &ContentHash) -> bool {
        self.hash == hex(hash)
    }
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.task, self.number, self.hash)?;
        match &self.content {
            Some(content) => write!(f, " {} {}", content.items, content.hash),
            None => Ok(()),
        }
    }
}

impl FromStr for ChainHead {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let head = match parts.as_slice() {
            _ if line.trim_start().starts_with('{') => serde_json::from_str::<ChainHead>(line).ok(),
            [task, number, hash, content @ ..] => {
                let content = match content {
                    [] => Some(None),
                    [items, hash] => {
                        items.parse().ok().map(|items| Some(ContentHead { items, hash: (*hash).to_owned() }))
                    }
                    _ => None,
                };
                let head = task.parse().ok().zip(number.parse().ok()).zip(content);
                head.map(|((task, number), content)| ChainHead {
                    task,
                    number,
                    hash: (*hash).to_owned(),
                    content,
                })
            }
            _ => None,
        };
        let lower_case = |hash: &str| {
            let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash.then(|| hash.to_ascii_lowercase())
        };
        let checked = |head: ChainHead| {
            let content = match head.content {
                Some(content) => Some(ContentHead { hash: lower_case(&content.hash)?, ..content }),
                None => None,
            };
            Some(ChainHead { hash: lower_case(&head.hash)?, content, ..head })
        };
        head.and_then(checked).ok_or_else(|| {
            format!(
                "'{}' is not a chain head; each line is ID NUMBER HASH or ID NUMBER HASH ITEMS CONTENT_HASH, as `tasktally heads` prints it, or a JSON object of `tasktally heads --json`",
                excerpt(line)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_head_survives_writing_and_reading() {
        let content = Some(ContentHead::new(50, &[0xAB; 32]));
        let task = TaskId::stored("abc.01".into());
        let head = ChainHead { task, number: 7, hash: hex(&[0xAB; 32]), content };
        let without_content = ChainHead { content: None, ..head.clone() };
        let json = serde_json::to_string(&head).unwrap();
        for head in [&head, &without_content] {
            assert_eq!(head.to_string().parse(), Ok(head.clone()));
            let json = serde_json::to_string(head).unwrap();
            assert_eq!(json.parse(), Ok(head.clone()));
            assert_eq!(head.to_string().replace("ab", "AB").replace("ABc", "abc").parse(), Ok(head.clone()));
        }
        let one_more = format!("{without_content} 7");
        let bad_content = format!("{without_content} 7 zz");
        let more = format!("{head} more");
        let not_hexadecimal = json.replace("abab", "xyxy");
        for bad in
            ["", "abc 7", "abc x 00", "abc 7 zz", &one_more, &bad_content, &more, "{}", &not_hexadecimal]
        {
            assert!(bad.parse::<ChainHead>().is_err(), "{bad}");
        }
    }
}
