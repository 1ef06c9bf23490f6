//! Bad items with the same reason, as one text that says the reason once and names their places.

use std::collections::HashMap;
use std::fmt;

use crate::items::ItemOrigin;
use crate::model::field::FIELDS_ARE;

/// The place of a bad item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) enum Place {
    /// A line of a file.
    Line(u64),
    /// An element of a list.
    Position(u64),
    /// Any place, as a text.
    Named(String),
}

impl From<&ItemOrigin> for Place {
    fn from(origin: &ItemOrigin) -> Self {
        match origin {
            ItemOrigin::Line(number) => Place::Line(*number),
            ItemOrigin::Position(number) => Place::Position(*number),
            ItemOrigin::File(_) | ItemOrigin::Task(_) => Place::Named(origin.to_string()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(number) => write!(f, "line {number}"),
            Place::Position(number) => write!(f, "item {number}"),
            Place::Named(name) => f.write_str(name),
        }
    }
}

/// The place and the reason of a bad item that is listed.
#[derive(Debug)]
pub(super) struct ListedItem {
    pub(super) place: Place,
    pub(super) reason: String,
}

/// The bad items of one reason.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The reason of the first one.
    pub(super) reason: &'a str,
    /// How many there are, also those that are not listed.
    pub(super) count: u64,
    places: Vec<&'a Place>,
}

/// What reasons of the same group have in common: items that lack a field have different fields.
pub(super) fn common_part(reason: &str) -> &str {
    reason.split_once(FIELDS_ARE).map_or(reason, |(common, _)| common)
}

/// Groups listed items by their reasons, in the order of the first item of each group. `counts` has the number of all
/// items of a reason, by its common part.
pub(super) fn group<'a>(
    listed: impl Iterator<Item = &'a ListedItem>,
    counts: &HashMap<String, u64>,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut numbers = HashMap::new();
    for item in listed {
        let common = common_part(&item.reason);
        let number = *numbers.entry(common).or_insert(groups.len());
        if number == groups.len() {
            groups.push(Group { reason: &item.reason, count: 0, places: Vec::new() });
        }
        groups[number].places.push(&item.place);
    }
    for group in &mut groups {
        let counted = counts.get(common_part(group.reason)).copied().unwrap_or(0);
        group.count = counted.max(group.places.len() as u64);
    }
    groups
}

impl Group<'_> {
    /// The places of the items, at most `max` of them or of their ranges: `lines 1-30, 34 and 5 more`.
    pub(super) fn places(&self, max: usize) -> String {
        let Some(ranges) = self.ranges().filter(|_| self.count > 1) else {
            let shown: Vec<String> = self.places.iter().take(max).map(ToString::to_string).collect();
            return with_rest(shown, self.count - self.places.len().min(max) as u64);
        };
        let noun = match self.places.first() {
            Some(Place::Line(_)) => "lines",
            _ => "items",
        };
        let shown = &ranges[..ranges.len().min(max)];
        let numbers = shown.iter().map(|(first, last)| last - first + 1).sum::<u64>();
        let texts = shown.iter().map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first}-{last}"),
        });
        format!("{noun} {}", with_rest(texts.collect(), self.count - numbers))
    }

    /// The numbers of lines, or of elements of a list, as ranges; none if the places have no numbers.
    fn ranges(&self) -> Option<Vec<(u64, u64)>> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for place in &self.places {
            let (Place::Line(number) | Place::Position(number)) = place else { return None };
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ => ranges.push((*number, *number)),
            }
        }
        Some(ranges)
    }
}

fn with_rest(shown: Vec<String>, rest: u64) -> String {
    let shown = shown.join(", ");
    if rest > 0 { format!("{shown} and {rest} more") } else { shown }
}

/// The texts as the end of a sentence, each on its own line if there are several, and how many items have other reasons.
pub(super) fn as_lines(texts: &[String], others: u64) -> String {
    let rest = (others > 0).then(|| format!("and {others} more"));
    let lines: Vec<&str> = texts.iter().map(String::as_str).chain(rest.as_deref()).collect();
    match lines[..] {
        [only] => format!(" {only}"),
        _ => lines.iter().map(|line| format!("\n  {line}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(places: &[Place], counted: u64, expected: &str) {
        let item = |place: &Place| ListedItem { place: place.clone(), reason: "bad".to_owned() };
        let items: Vec<ListedItem> = places.iter().map(item).collect();
        let groups = group(items.iter(), &HashMap::from([("bad".to_owned(), counted)]));
        let texts: Vec<String> = groups.iter().map(|group| group.places(3)).collect();
        assert_eq!(texts, [expected], "{places:?}");
    }

    #[test]
    fn places_of_one_reason_become_ranges() {
        use Place::{Line, Named, Position};
        check(&[Line(3)], 0, "line 3");
        check(&[Line(3), Line(4)], 0, "lines 3, 4");
        check(&[Line(1), Line(2), Line(3), Line(7)], 0, "lines 1-3, 7");
        check(&[1, 3, 5, 7, 8].map(Position), 5, "items 1, 3, 5 and 2 more");
        check(&[1, 2, 3].map(Line), 1_000_000, "lines 1-3 and 999997 more");
        check(&["file a", "file b"].map(|name| Named(name.to_owned())), 0, "file a, file b");
        check(&["a", "b", "c", "d"].map(|name| Named(name.to_owned())), 9, "a, b, c and 6 more");
    }

    #[test]
    fn items_that_lack_the_same_field_are_one_group() {
        let items = [("its fields are a", 1), ("its fields are a, b", 2), ("it has no fields", 3)].map(
            |(fields, line)| ListedItem { place: Place::Line(line), reason: format!("no field; {fields}") },
        );
        let groups = group(items.iter(), &HashMap::new());
        let counts: Vec<u64> = groups.iter().map(|group| group.count).collect();
        assert_eq!((counts, groups[0].reason), (vec![2, 1], "no field; its fields are a"));
    }
}
