//! Keeps the counts of items by category short.

use serde_json::{Map, Value};

/// The most categories of a reply; the rest is added up.
const CATEGORIES: usize = 8;
/// The most bytes of these categories: workers choose their names.
const CATEGORY_BYTES: usize = 240;
/// The name of the sum of the categories that are not shown.
const OTHERS: &str = "(others)";

/// Keeps the first categories, which are the largest, and adds the others up.
pub(in crate::ops) fn sum_others(categories: &mut Map<String, Value>) {
    sum_others_beyond(categories, CATEGORY_BYTES);
}

/// The same, for a reply in which the names may have so many bytes.
pub(in crate::ops) fn sum_others_beyond(categories: &mut Map<String, Value>, max_bytes: usize) {
    let (mut kept, mut bytes, mut others) = (0, 0, 0);
    categories.retain(|name, count| {
        bytes += name.len() + 8;
        let fits = kept < CATEGORIES && bytes <= max_bytes;
        if fits {
            kept += 1;
        } else {
            others += count.as_u64().unwrap_or(0);
        }
        fits
    });
    if others > 0 {
        let before = categories.get(OTHERS).and_then(Value::as_u64).unwrap_or(0);
        categories.insert(OTHERS.to_owned(), (before + others).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_the_counts_stays_the_same() {
        let names = (0..80).map(|number| (format!("c{number:02}"), Value::from(80 - number)));
        let mut categories: Map<String, Value> = names.collect();
        sum_others(&mut categories);
        assert_eq!(categories.len(), 9);
        assert_eq!(categories.values().filter_map(Value::as_u64).sum::<u64>(), 80 * 81 / 2);
        let mut long: Map<String, Value> = [("x".repeat(900), Value::from(2))].into_iter().collect();
        sum_others(&mut long);
        assert_eq!(long.get(OTHERS), Some(&Value::from(2)));
    }
}
