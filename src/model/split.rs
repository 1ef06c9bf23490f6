//! How the items of a batch are split into chunks: the groups, the chunk sizes, the chunk titles.

mod wire;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::field::{field_list, lookup, visible_excerpt};
use super::hidden::is_control;
use super::item_date::{ItemDate, Precision};

/// The longest category, in characters: it becomes part of a task's title.
const MAX_LABEL: usize = 100;
/// The label of items without a date, if the split puts them into chunks of their own.
const UNDATED: &str = "Undated";
/// Sorts undated items after all periods.
const AFTER_ALL_PERIODS: &str = "~";
/// The label of items without a category.
const NO_CATEGORY: &str = "(none)";

/// The rule by which items are grouped into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Split {
    /// By size alone, in the order of the items.
    #[default]
    Size,
    /// By the calendar period of a time field.
    Time {
        /// A top-level name, or a JSON pointer.
        field: String,
        /// The length of a period.
        period: Period,
        /// Whether items without a date go into chunks of their own; otherwise they are bad items.
        undated: bool,
    },
    /// By the value of a field.
    Category {
        /// A top-level name, or a JSON pointer.
        field: String,
    },
}

/// A calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A date.
    Day,
    /// An ISO 8601 week: Monday to Sunday, in the year of its Thursday.
    Week,
    /// A calendar month.
    #[default]
    Month,
    /// Three months from January, April, July or October.
    Quarter,
    /// A calendar year.
    Year,
}

/// The group of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SplitGroup {
    /// Groups are sorted by this key; groups with equal keys keep the order of their first items.
    pub sort_key: String,
    /// The label that people see.
    pub label: String,
}

impl Split {
    /// Returns the group of an item.
    ///
    /// # Errors
    /// The reason, naming field and value.
    pub fn group_of(&self, item: &Map<String, Value>) -> Result<SplitGroup, String> {
        self.group_and_date_of(item).map(|(group, _)| group)
    }

    /// Returns the group of an item, and its date if items are split by time.
    ///
    /// # Errors
    /// The reason, naming field and value.
    pub fn group_and_date_of(&self, item: &Map<String, Value>) -> Result<(SplitGroup, Option<Date>), String> {
        match self {
            Split::Size => Ok((SplitGroup { sort_key: String::new(), label: "Items".to_owned() }, None)),
            Split::Time { field, period, undated } => {
                let name = visible_excerpt(field, 80);
                let value = lookup(item, field);
                match value.filter(|value| !is_blank(value)) {
                    None if *undated => {
                        let sort_key = AFTER_ALL_PERIODS.to_owned();
                        Ok((SplitGroup { sort_key, label: UNDATED.to_owned() }, None))
                    }
                    None => {
                        let what = match value {
                            None => format!(
                                "the item has no field '{name}', by which the batch is split; {}",
                                field_list(item.keys())
                            ),
                            Some(_) => format!("the field '{name}', by which the batch is split, is empty"),
                        };
                        Err(format!(
                            "{what} (split=\"{period}+undated:{name}\" puts such items into chunks of their own)"
                        ))
                    }
                    Some(value) => {
                        let group = ItemDate::from_json(value)
                            .and_then(|date| Ok((period.group(date)?, Some(date.date))));
                        group.map_err(|reason| format!("field '{name}': {reason}"))
                    }
                }
            }
            Split::Category { field } => {
                let label = category(lookup(item, field))
                    .map_err(|reason| format!("field '{}': {reason}", visible_excerpt(field, 80)))?;
                Ok((SplitGroup { sort_key: String::new(), label }, None))
            }
        }
    }
}

impl Split {
    /// The field by which items are grouped, if none of the items that make up these groups has it.
    pub fn missing_field(&self, groups: &[(String, u64)]) -> Option<&str> {
        match self {
            Split::Category { field } => {
                let is_missing = !groups.is_empty() && groups.iter().all(|(label, _)| label == NO_CATEGORY);
                is_missing.then_some(field)
            }
            Split::Size | Split::Time { .. } => None,
        }
    }
}

/// Whether a field has no value: CSV cannot leave out a field, only leave it empty.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

impl Period {
    /// The group of a date.
    ///
    /// # Errors
    /// A date that is less exact than the period.
    fn group(self, ItemDate { date, precision }: ItemDate) -> Result<SplitGroup, String> {
        let needed = match self {
            Period::Day | Period::Week => Precision::Day,
            Period::Month | Period::Quarter => Precision::Month,
            Period::Year => Precision::Year,
        };
        if precision < needed {
            let known = if precision == Precision::Year { "a year" } else { "a month" };
            return Err(format!("is only {known}; a split by {self} needs a date such as 2025-11-03"));
        }
        let (year, month) = (date.year(), date.month());
        let quarter = (month + 2) / 3;
        let iso = date.iso_week_date();
        let (sort, label) = match self {
            Period::Day => (date.to_string(), date.to_string()),
            Period::Week => {
                let week = format!("{:04}-W{:02}", iso.year(), iso.week());
                (week.clone(), week)
            }
            Period::Month => (format!("{year:04}-{month:02}"), date.strftime("%b %Y").to_string()),
            Period::Quarter => (format!("{year:04}-Q{quarter}"), format!("Q{quarter} {year}")),
            Period::Year => (format!("{year:04}"), year.to_string()),
        };
        Ok(SplitGroup { sort_key: sort, label })
    }
}

fn category(value: Option<&Value>) -> Result<String, String> {
    let label = match value {
        None | Some(Value::Null) => return Ok(NO_CATEGORY.to_owned()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(NO_CATEGORY.to_owned()),
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Some(value @ (Value::Array(_) | Value::Object(_))) => {
            let kind = if value.is_array() { "a list" } else { "an object" };
            return Err(format!(
                "{} is {kind}; allowed for a category: text, a number, true or false",
                visible_excerpt(&value.to_string(), 80)
            ));
        }
    };
    let length = label.chars().count();
    if length > MAX_LABEL {
        return Err(format!(
            "'{}' has {length} characters; a category has at most {MAX_LABEL}",
            visible_excerpt(&label, 80)
        ));
    }
    if label.chars().any(is_control) {
        return Err(format!(
            "'{}' contains control or bidirectional characters, which are not allowed in a category: it becomes part of a task's title",
            visible_excerpt(&label, 80)
        ));
    }
    Ok(label)
}

/// Divides `count` items into the fewest parts of at most `max_chunk` (at least 1) items. The sizes differ by at
/// most one, larger parts first.
pub fn part_sizes(count: u64, max_chunk: u64) -> Vec<u64> {
    equal_parts(count, count.div_ceil(max_chunk.max(1)))
}

/// Divides `count` items into this many parts. The sizes differ by at most one, larger parts first.
pub fn equal_parts(count: u64, parts: u64) -> Vec<u64> {
    if parts == 0 {
        return Vec::new();
    }
    let (small, larger) = (count / parts, count % parts);
    (0..parts).map(|part| small + u64::from(part < larger)).collect()
}

/// A chunk's title: what its items have in common, its number, and how many chunks the batch has.
pub fn chunk_title(span: &str, number: u64, chunks: u64) -> String {
    format!("{span}, chunk {number} of {chunks}")
}

/// The label of a chunk of a split by size: the numbers of its first and last item, from 1.
pub fn size_label(first: u64, last: u64) -> String {
    if first == last { format!("Item {first}") } else { format!("Items {first}-{last}") }
}

/// The number of digits of chunk numbers: at least two, and enough for the last chunk.
pub fn number_width(chunks: u64) -> usize {
    chunks.to_string().len().max(2)
}

#[cfg(test)]
mod tests;
