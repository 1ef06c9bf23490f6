//! Chunks of a batch as a request names them: by id, by number, or by a range of numbers.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::exact_json::parse_exact;
use super::id::TaskId;
use super::limits::{MAX_IDS, whole_number};
use super::text::excerpt;

/// How a list of chunks is written.
const FORMS: &str = "a chunk is named by its id or number, several as 1,2,5 or 1-5";

/// One part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkName {
    /// A chunk's id, or its number alone.
    Id(TaskId),
    /// All chunks with these numbers.
    Range(RangeInclusive<u64>),
}

/// Chunks of a batch; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList(Vec<ChunkName>);

impl ChunkList {
    /// Its parts, as they were written.
    pub fn names(&self) -> &[ChunkName] {
        &self.0
    }

    fn new(names: Vec<ChunkName>) -> Result<Self, String> {
        match names.len() {
            0 => Err(format!("it names no chunk; {FORMS}")),
            1..=MAX_IDS => Ok(ChunkList(names)),
            count => Err(format!(
                "{count} chunks are named, at most {MAX_IDS} allowed; write ranges such as 1-500"
            )),
        }
    }

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => text.parse(),
            Value::Array(values) => {
                let lists = values.iter().map(|value| match value {
                    Value::Array(_) => {
                        Err(format!("{} is a list in a list; {FORMS}", excerpt(&value.to_string())))
                    }
                    other => Ok(ChunkList::from_value(other)?.0),
                });
                ChunkList::new(lists.collect::<Result<Vec<_>, String>>()?.concat())
            }
            Value::Number(number) => {
                let integer = number.as_i64().or_else(|| number.as_f64().and_then(whole_number));
                match integer.and_then(|number| u64::try_from(number).ok()) {
                    Some(number) => number.to_string().parse(),
                    None => Err(format!("{number} is not the number of a chunk; {FORMS}")),
                }
            }
            other => Err(format!("{} is not a chunk; {FORMS}", excerpt(&other.to_string()))),
        }
    }
}

impl FromStr for ChunkName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| is_number)
        };
        if let Some((first, last)) = text.split_once('-')
            && let (Some(first), Some(last)) = (number(first.trim()), number(last.trim()))
        {
            if first == 0 || first > last {
                return Err(format!(
                    "'{}' is not a range of chunks: chunks are counted from 1, the smaller number comes first",
                    excerpt(text)
                ));
            }
            return Ok(ChunkName::Range(first..=last));
        }
        let id = text.parse().map_err(|_| format!("'{}' is not a chunk; {FORMS}", excerpt(text)))?;
        Ok(ChunkName::Id(id))
    }
}

impl FromStr for ChunkList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('[') {
            return match parse_exact(text) {
                Ok(list @ Value::Array(_)) => ChunkList::from_value(&list),
                _ => Err(format!("'{}' is not a list of chunks; {FORMS}", excerpt(text))),
            };
        }
        ChunkList::new(text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChunkName::Id(id) => f.write_str(id.as_str()),
            ChunkName::Range(range) => write!(f, "{}-{}", range.start(), range.end()),
        }
    }
}

impl fmt::Display for ChunkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(","))
    }
}

impl Serialize for ChunkName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Deserializes a list that may be empty, as text or as a JSON list.
///
/// # Errors
/// What names no chunk.
pub fn chunk_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ChunkName>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Array(values) if values.is_empty() => Ok(Vec::new()),
        value => Ok(ChunkList::from_value(&value).map_err(serde::de::Error::custom)?.0),
    }
}

impl Serialize for ChunkList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ChunkList::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

inline_schema!(ChunkName, { "type": "string" });
inline_schema!(ChunkList, { "type": "string" });

/// Numbers of chunks as a request may name them: `1-3, 5`. After `most` ranges the rest is counted.
pub fn ranges(numbers: &[u64], most: usize) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for number in sorted {
        match ranges.last_mut() {
            Some(last) if *last.end() + 1 == number => *last = *last.start()..=number,
            _ => ranges.push(number..=number),
        }
    }
    let rest: u64 = ranges.iter().skip(most).map(|range| range.end() - range.start() + 1).sum();
    let mut texts: Vec<String> = ranges
        .iter()
        .take(most)
        .map(|range| match range.end() - range.start() {
            0 => range.start().to_string(),
            _ => format!("{}-{}", range.start(), range.end()),
        })
        .collect();
    if rest > 0 {
        texts.push(format!("and {rest} more"));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_text_a_number_or_a_list_of_them() {
        fn check(value: Value, expected: &str) {
            let list = ChunkList::deserialize(&value).unwrap();
            assert_eq!(list.to_string(), expected, "{value}");
            assert_eq!(expected.parse(), Ok(list), "{expected}");
        }
        check(json!("b1.03"), "b1.03");
        check(json!(5), "5");
        check(json!(5.0), "5");
        check(json!("1,2, 5"), "1,2,5");
        check(json!("1 - 5,b1.07"), "1-5,b1.07");
        check(json!([1, "2", "4-6", "b1.09"]), "1,2,4-6,b1.09");
        check(json!("[1, \"3-4\"]"), "1,3-4");
        check(json!("0000000000001-5"), "0000000000001-5");
    }

    #[test]
    fn what_names_no_chunk_is_refused() {
        for value in [
            json!(""),
            json!([]),
            json!("1,,2"),
            json!("5-1"),
            json!("0-3"),
            json!(-1),
            json!(1.5),
            json!(true),
            json!([[1]]),
            json!("[1,"),
            json!({"a": 1}),
            json!("a b"),
            json!((0..2_000).collect::<Vec<_>>()),
        ] {
            let refused = ChunkList::deserialize(&value).unwrap_err().to_string();
            assert!(
                refused.contains("1-5") || refused.contains("1-500") || refused.contains("from 1"),
                "{refused}"
            );
        }
    }

    #[test]
    fn numbers_are_written_as_ranges() {
        assert_eq!(ranges(&[5, 1, 2, 3, 3], 10), "1-3, 5");
        assert_eq!(ranges(&[7], 10), "7");
        assert_eq!(ranges(&[1, 3, 5, 6, 7], 2), "1, 3, and 3 more");
        assert_eq!(ranges(&[], 2), "");
    }
}
