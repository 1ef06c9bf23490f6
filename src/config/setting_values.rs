//! Reads the values of settings: integers, strings, lists and secrets.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::table_reader::TableReader;
use crate::error::Result;
use crate::model::text::excerpt;

/// The range, unit and default of an integer.
pub(super) struct IntegerRule {
    pub(super) range: RangeInclusive<u64>,
    pub(super) unit: &'static str,
    /// `None`: no limit by default.
    pub(super) default: Option<u64>,
}

impl IntegerRule {
    fn describe(&self) -> String {
        let default = match self.default {
            Some(default) => format!("the default is {default}"),
            None => "the default is no limit".to_owned(),
        };
        format!("{} to {} {}; {default}", self.range.start(), self.range.end(), self.unit)
    }
}

impl<'a> TableReader<'a> {
    /// An integer.
    pub(super) fn integer(&mut self, field: &'static str, rule: &IntegerRule) -> Result<Option<u64>> {
        let found = self.find(field);
        let value = match found {
            None => rule.default,
            Some(item) => {
                let expected = || format!("an integer, {}", rule.describe());
                let given = item.as_integer().ok_or_else(|| self.bad_type(field, item, &expected()))?;
                let allowed = u64::try_from(given).ok().filter(|given| rule.range.contains(given));
                let why = || format!("out of range; allowed: {}", rule.describe());
                Some(allowed.ok_or_else(|| self.bad_value(field, &why()))?)
            }
        };
        self.record(field, json!(value), found.is_some());
        Ok(value)
    }

    /// A duration in seconds.
    pub(super) fn seconds(
        &mut self,
        field: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Result<Duration> {
        let rule = IntegerRule { range, unit: "seconds", default: Some(default) };
        Ok(Duration::from_secs(self.integer(field, &rule)?.unwrap_or(default)))
    }

    /// A number that may have decimals.
    pub(super) fn decimal(
        &mut self,
        field: &'static str,
        range: RangeInclusive<f64>,
        unit: &str,
        default: f64,
    ) -> Result<f64> {
        let found = self.find(field);
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let allowed = format!("{} to {}{unit}; the default is {default}", range.start(), range.end());
        let value = match found {
            None => default,
            Some(item) => {
                let given = item.as_float().or_else(|| item.as_integer().map(|integer| integer as f64));
                let given =
                    given.ok_or_else(|| self.bad_type(field, item, &format!("a number, {allowed}")))?;
                if !range.contains(&given) {
                    return Err(self.bad_value(field, &format!("out of range; allowed: {allowed}")));
                }
                given
            }
        };
        // A whole number is shown as the file would have it.
        let shown = if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
        self.record(field, shown, found.is_some());
        Ok(value)
    }

    /// A string.
    pub(super) fn string(&mut self, field: &'static str) -> Result<Option<&'a str>> {
        let value = match self.find(field) {
            None => None,
            Some(item) => Some(item.as_str().ok_or_else(|| self.bad_type(field, item, "a string"))?),
        };
        self.record(field, json!(value), value.is_some());
        Ok(value)
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, field: &'static str, default: bool) -> Result<bool> {
        let found = self.find(field);
        let value = match found {
            None => default,
            Some(item) => item.as_bool().ok_or_else(|| self.bad_type(field, item, "true or false"))?,
        };
        self.record(field, json!(value), found.is_some());
        Ok(value)
    }

    /// A list of strings.
    pub(super) fn strings(&mut self, field: &'static str, default: &[&'a str]) -> Result<Vec<&'a str>> {
        let found = self.find(field);
        let values: Vec<&str> = match found {
            None => default.to_vec(),
            Some(item) => {
                let list = item.as_array().and_then(|list| list.iter().map(|value| value.as_str()).collect());
                list.ok_or_else(|| self.bad_type(field, item, "a list of strings"))?
            }
        };
        self.record(field, json!(values), found.is_some());
        Ok(values)
    }

    /// A list of integers.
    pub(super) fn integers(
        &mut self,
        field: &'static str,
        range: RangeInclusive<i64>,
        default: &[i64],
    ) -> Result<Vec<i64>> {
        let found = self.find(field);
        let expected = format!("a list of integers, {} to {}", range.start(), range.end());
        let values: Vec<i64> = match found {
            None => default.to_vec(),
            Some(item) => {
                let list: Option<Vec<i64>> =
                    item.as_array().and_then(|list| list.iter().map(|value| value.as_integer()).collect());
                list.ok_or_else(|| self.bad_type(field, item, &expected))?
            }
        };
        if let Some(bad) = values.iter().find(|value| !range.contains(value)) {
            return Err(self.bad_value(field, &format!("{bad} is out of range; allowed: {expected}")));
        }
        self.record(field, json!(values), found.is_some());
        Ok(values)
    }

    /// A table of strings under names of the operator's choice. The values may be secret and are never shown.
    pub(super) fn secrets(&mut self, field: &'static str) -> Result<Vec<(&'a str, &'a str)>> {
        let found = self.find(field);
        let values = match found {
            None => Vec::new(),
            Some(item) => {
                let table = item
                    .as_table_like()
                    .ok_or_else(|| self.bad_secret_type(field, item, "a table of strings"))?;
                table
                    .iter()
                    .map(|(name, value)| {
                        let full_name = format!("{field}.{}", excerpt(name));
                        let text = value
                            .as_str()
                            .ok_or_else(|| self.bad_secret_type(&full_name, value, "a string"))?;
                        Ok((name, text))
                    })
                    .collect::<Result<_>>()?
            }
        };
        let shown: Map<String, Value> = values
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json!(format!("({} bytes, not shown)", text.len()))))
            .collect();
        self.record(field, Value::Object(shown), found.is_some());
        Ok(values)
    }
}
