//! Task ids and claim tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

use super::text::excerpt;

/// Crockford's base 32: no letter that reads like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The prefix of runners' tokens.
const RUNNER_PREFIX: &str = "run-";
/// The prefix of the tokens of processes that hold no run lock.
const PROCESS_PREFIX: &str = "work-";

/// `length` base-32 characters from the 74 random bits of a version 7 UUID (62 of them in the low half).
fn random_text(length: usize) -> String {
    // `NoContext`: with a context, UUIDs of the same millisecond are consecutive and ids would look alike.
    let bits = Uuid::new_v7(Timestamp::now(NoContext)).as_u128();
    // Bits 62 and 63 are the variant; the 12 bits from 64 are random.
    let random = (bits & ((1 << 62) - 1)) | ((bits >> 64 & 0xfff) << 62);
    (0..length).map(|place| char::from(ALPHABET[(random >> (5 * place) & 31) as usize])).collect()
}

/// A task's id: 12 characters, 60 random bits. It is short so that models copy it correctly, and random so that ids
/// created together differ and a mistyped id matches no task. A chunk's id is its batch's id, a dot and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TaskId(String);

impl TaskId {
    /// A new random id.
    pub fn random() -> Self {
        TaskId(random_text(12))
    }

    /// The id of a batch's chunk, its number padded to `width` digits.
    pub fn chunk(&self, number: u64, width: usize) -> Self {
        TaskId(format!("{}.{number:0width$}", self.0))
    }

    /// The batch's id and the number, if this is a chunk's id. The number may have fewer or more leading zeros than
    /// the stored id has.
    pub fn chunk_number(&self) -> Option<(TaskId, u64)> {
        let (batch, number) = self.0.rsplit_once('.')?;
        let is_number = !batch.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number)?;
        Some((TaskId(batch.to_owned()), number))
    }

    /// The id of a chunk that a request about `batch` names by its id or only by its number.
    #[must_use]
    pub fn within(&self, batch: &TaskId) -> TaskId {
        // The id of a task can consist of digits alone, but it is longer than any chunk's number.
        match self.0.parse::<u32>() {
            Ok(number) => TaskId(format!("{batch}.{number}")),
            Err(_) => self.clone(),
        }
    }

    /// Whether both ids name the same task, although the number of a chunk may have other leading zeros.
    pub fn is_same(&self, other: &TaskId) -> bool {
        self == other || self.chunk_number().is_some_and(|chunk| other.chunk_number() == Some(chunk))
    }

    /// An id as it was written earlier, by a reply or a request; not checked again.
    pub fn stored(id: String) -> Self {
        TaskId(id)
    }

    /// An id that was read from a store. It becomes part of the names of files and folders, and other programs can write to
    /// a store's file, so it is checked.
    ///
    /// # Errors
    /// The reason why it is no id.
    pub fn from_store(id: String) -> Result<Self, String> {
        if id.starts_with(['.', '-']) || id.contains("..") || id.parse::<TaskId>().is_err() {
            return Err(format!(
                "the store has '{}' as the id of a task, which this program never writes; another program changed the store, restore a backup",
                excerpt(&id)
            ));
        }
        Ok(TaskId(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if fits {
            Ok(TaskId(text.to_owned()))
        } else {
            Err(format!(
                "'{}' is not a task id, which has at most 64 letters, digits, '.', '-' or '_'; list_tasks() shows the ids of tasks",
                excerpt(text)
            ))
        }
    }
}

/// A claim's token. It identifies the claim, not the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A new random token: 14 characters, 70 random bits.
    pub fn random() -> Self {
        Token(random_text(14))
    }

    /// A token for a runner's claim; no other random token has its prefix.
    pub fn random_for_runner() -> Self {
        Token(format!("{RUNNER_PREFIX}{}", random_text(14)))
    }

    /// Whether the claim was made by a runner.
    pub fn is_runner_token(&self) -> bool {
        self.0.starts_with(RUNNER_PREFIX)
    }

    /// A token for a claim of a process that holds no run lock. It contains the mark of the process.
    pub fn random_for_process(mark: &ProcessMark) -> Self {
        Token(format!("{PROCESS_PREFIX}{mark}-{}", random_text(14)))
    }

    /// The mark of the process that made the claim, if the token has one.
    pub fn process_mark(&self) -> Option<ProcessMark> {
        self.0.strip_prefix(PROCESS_PREFIX)?.split_once('-')?.0.parse().ok()
    }

    /// A token read from the store, not checked again.
    pub fn stored(token: String) -> Self {
        Token(token)
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Token(text.to_owned()))
        } else {
            Err(format!(
                "'{}' is not a claim token, which has at most 64 printable ASCII characters; the reply of claim_task() contains it in claim.token",
                excerpt(text)
            ))
        }
    }
}

/// A random mark that identifies a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessMark(String);

/// The length of a mark.
const MARK_CHARS: usize = 10;

impl ProcessMark {
    /// A new mark.
    pub fn random() -> Self {
        ProcessMark(random_text(MARK_CHARS))
    }

    /// The mark as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProcessMark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_mark = text.len() == MARK_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_mark {
            Ok(ProcessMark(text.to_owned()))
        } else {
            Err(format!("'{}' is no mark", excerpt(text)))
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        inline_schema!($name, { "type": "string" });
    };
}

as_text!(TaskId);
as_text!(Token);
as_text!(ProcessMark);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_parse() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| TaskId::random()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in &ids {
            assert_eq!(id.as_str().parse::<TaskId>().as_ref(), Ok(id));
        }
    }

    #[test]
    fn an_id_of_a_store_cannot_leave_a_folder() {
        let check =
            |id: &str, is_id: bool| assert_eq!(TaskId::from_store(id.to_owned()).is_ok(), is_id, "{id}");
        check("k3m9p0q1r2s3", true);
        check("k3m9p0q1r2s3.07", true);
        for id in ["", "..", "../x", "a/b", "a..b", ".a", "-rf", "a\0", "a\n", "a\u{200b}", &"a".repeat(65)] {
            check(id, false);
        }
    }

    #[test]
    fn a_token_names_the_process_that_claimed() {
        let mark = ProcessMark::random();
        let token = Token::random_for_process(&mark);
        assert_eq!(token.as_str().parse::<Token>(), Ok(token.clone()));
        assert_eq!((token.process_mark(), token.is_runner_token()), (Some(mark), false));
        assert_eq!((Token::random_for_runner().process_mark(), Token::random().process_mark()), (None, None));
    }

    #[test]
    fn ids_created_in_the_same_millisecond_do_not_look_alike() {
        let alike = |one: &TaskId, other: &TaskId| {
            one.as_str().bytes().zip(other.as_str().bytes()).filter(|(a, b)| a == b).count()
        };
        let ids: Vec<_> = (0..100).map(|_| TaskId::random()).collect();
        // By chance one place in 32 is the same: 9 of 12 in one pair of these is not chance.
        assert!(ids.windows(2).all(|pair| alike(&pair[0], &pair[1]) < 9), "{ids:?}");
        let shared = ids.windows(2).map(|pair| alike(&pair[0], &pair[1])).sum::<usize>();
        assert!(shared < 150, "{shared} of 1188 places are alike, about 37 would be by chance");
    }

    #[test]
    fn a_chunks_id_is_its_batchs_id_and_number() {
        let batch = TaskId::stored("k3m9p0q1r2s3".into());
        let chunk = batch.chunk(7, 2);
        assert_eq!(chunk.as_str(), "k3m9p0q1r2s3.07");
        let id = |text: &str| TaskId::stored(text.into());
        for same in ["k3m9p0q1r2s3.7", "k3m9p0q1r2s3.007", "k3m9p0q1r2s3.07", "7", "07"] {
            assert!(id(same).within(&batch).is_same(&chunk), "{same}");
        }
        for other in ["k3m9p0q1r2s3.8", "k3m9p0q1r2s3.", "k3m9p0q1r2s3.+7", "k3m9p0q1r2s3", "x.7", "+8"] {
            assert!(!id(other).within(&batch).is_same(&chunk), "{other}");
        }
    }
}
