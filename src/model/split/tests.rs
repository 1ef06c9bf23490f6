use proptest::prelude::*;
use serde_json::json;

use super::*;

fn group(split: &str, item: Value) -> Result<SplitGroup, String> {
    split.parse::<Split>().unwrap().group_of(item.as_object().unwrap())
}

fn check(split: &str, item: Value, sort: &str, label: &str) {
    let expected = SplitGroup { sort_key: sort.to_owned(), label: label.to_owned() };
    assert_eq!(group(split, item.clone()), Ok(expected), "{split} of {item}");
}

fn refused(split: &str, item: Value, because: &str) {
    let reason = group(split, item.clone()).expect_err(split);
    assert!(reason.contains(because), "{split} of {item}: {reason}");
}

#[test]
fn time_groups_sort_by_time_and_read_like_a_calendar() {
    let item = json!({"date": "2025-11-03"});
    check("day:date", item.clone(), "2025-11-03", "2025-11-03");
    check("week:date", item.clone(), "2025-W45", "2025-W45");
    check("month:date", item.clone(), "2025-11", "Nov 2025");
    check("time:date", item.clone(), "2025-11", "Nov 2025");
    check("quarter:date", item.clone(), "2025-Q4", "Q4 2025");
    check("year:date", item, "2025", "2025");
    check(
        "month:/head/date",
        json!({"head": {"date": "Fri, 31 Oct 2025 23:30:00 -0500"}}),
        "2025-10",
        "Oct 2025",
    );
    check("week:date", json!({"date": "2024-12-30"}), "2025-W01", "2025-W01");
    check("week:date", json!({"date": "2027-01-01"}), "2026-W53", "2026-W53");
    check("quarter:date", json!({"date": "2025-03-31"}), "2025-Q1", "Q1 2025");
    check("quarter:date", json!({"date": "2025-04-01"}), "2025-Q2", "Q2 2025");
}

#[test]
fn an_item_without_a_readable_time_is_refused() {
    refused("month:date", json!({"when": "2025-11-03"}), "the item has no field 'date'");
    refused("month:date", json!({"date": null}), "the field 'date', by which the batch is split, is empty");
    refused("month:date", json!({"date": "soon"}), "field 'date': 'soon' is not a time");
    refused("month:date", json!({"date": "x".repeat(999)}), "…' is not a time");
    refused("month:date", json!({"date": "3025-11-03"}), "out of range; allowed: 0001-01-01 to 2999-12-31");
}

#[test]
fn items_without_a_date_have_a_group_of_their_own_on_request() {
    for undated in [json!({}), json!({"date": null}), json!({"date": ""}), json!({"date": " "})] {
        check("month+undated:date", undated.clone(), "~", "Undated");
        refused("month:date", undated, "split=\"month+undated:date\" puts");
    }
    check("month+undated:date", json!({"date": "2025-11-03"}), "2025-11", "Nov 2025");
    refused("month+undated:date", json!({"date": "soon"}), "'soon' is not a time");
    let split: Split = serde_json::from_value(json!({"by": "time", "field": "d", "undated": true})).unwrap();
    assert_eq!(split.to_string(), "month+undated:d");
    assert_eq!(split.to_string().parse::<Split>().unwrap(), split);
    assert!("size+undated".parse::<Split>().is_err());
}

#[test]
fn a_date_is_as_exact_as_its_period() {
    check("year:date", json!({"date": 2025}), "2025", "2025");
    check("month:date", json!({"date": "2025-11"}), "2025-11", "Nov 2025");
    check("quarter:date", json!({"date": "2025-11"}), "2025-Q4", "Q4 2025");
    refused("month:date", json!({"date": 2025}), "is only a year; a split by month needs a date");
    refused("week:date", json!({"date": "2025-11"}), "is only a month; a split by week needs a date");
    check("month:date", json!({"date": "20251030133049"}), "2025-10", "Oct 2025");
    check("year:date", json!({"date": "0999-01-01"}), "0999", "999");
}

#[test]
fn a_category_is_the_value_as_text() {
    check("category:kind", json!({"kind": "fyi"}), "", "fyi");
    check("category:kind", json!({"kind": " a b "}), "", " a b ");
    check("category:kind", json!({"kind": 7}), "", "7");
    check("category:kind", json!({"kind": true}), "", "true");
    check("category:/a/0", json!({"a": ["x"]}), "", "x");
    check("category:kind", json!({"kind": "é".repeat(100)}), "", &"é".repeat(100));
    for none in [json!({}), json!({"kind": null}), json!({"kind": ""}), json!({"kind": " \n"})] {
        check("category:kind", none, "", "(none)");
    }
    refused("category:kind", json!({"kind": ["a"]}), "field 'kind': [\"a\"] is a list");
    refused("category:kind", json!({"kind": {"a": 1}}), "is an object");
    refused(
        "category:kind",
        json!({"kind": "é".repeat(101)}),
        "has 101 characters; a category has at most 100",
    );
    refused("category:kind", json!({"kind": "a\nb"}), "'a\\u{a}b' contains control");
    check("size", json!({}), "", "Items");
}

#[test]
fn every_way_of_writing_a_split_means_the_same() {
    let check = |written: Value, short: &str, object: Value| {
        let split: Split =
            serde_json::from_value(written.clone()).unwrap_or_else(|e| panic!("{written}: {e}"));
        assert_eq!(split.to_string(), short, "{written}");
        assert_eq!(serde_json::to_value(&split).unwrap(), object, "{written}");
        assert_eq!(short.parse::<Split>().unwrap(), split);
        assert_eq!(object.to_string().parse::<Split>().unwrap(), split);
    };
    check(json!("size"), "size", json!({"by": "size"}));
    check(json!({"by": "size", "field": null}), "size", json!({"by": "size"}));
    let month = json!({"by": "time", "field": "date", "period": "month"});
    check(json!({"by": "time", "field": "date"}), "month:date", month.clone());
    check(json!("time:date"), "month:date", month.clone());
    check(json!(" month:date "), "month:date", month);
    check(json!("week:/a/b"), "week:/a/b", json!({"by": "time", "field": "/a/b", "period": "week"}));
    check(json!("category:a:b"), "category:a:b", json!({"by": "category", "field": "a:b"}));
}

#[test]
fn a_wrong_split_is_refused_with_the_next_step() {
    let check = |written: Value, because: &str| {
        let reason =
            serde_json::from_value::<Split>(written.clone()).expect_err(&written.to_string()).to_string();
        assert!(reason.contains(because), "{written}: {reason}");
    };
    check(json!("month"), "'month': A split by time needs `field`");
    check(json!("category:"), "needs `field`");
    check(json!("moon:date"), "'moon:date' is not a split; write size, category:FIELD");
    check(json!("size:date"), "has no `field`");
    check(json!(""), "is not a split");
    check(json!("{\"by\":"), "is not a split");
    check(json!({"by": "time"}), "needs `field`");
    check(json!({"by": "moon"}), "unknown variant `moon`, expected one of `size`, `time`, `category`");
    check(json!({"by": "time", "field": "d", "period": "decade"}), "unknown variant `decade`");
    check(
        json!({"by": "time", "feild": "d"}),
        "unknown field `feild`, expected one of `by`, `field`, `period`, `undated`",
    );
    check(json!({"by": "category", "field": "d", "period": "day"}), "`period` is only for a split by time");
    check(json!({"field": "d"}), "missing field `by`");
    check(json!(7), "invalid type");
}

#[test]
fn titles_name_span_part_and_share() {
    assert_eq!(chunk_title("Nov 2025", 10, 21), "Nov 2025, chunk 10 of 21");
    assert_eq!(chunk_title(&size_label(51, 100), 2, 14), "Items 51-100, chunk 2 of 14");
    assert_eq!(size_label(51, 51), "Item 51");
    for (chunks, width) in [(0, 2), (1, 2), (99, 2), (100, 3), (1000, 4)] {
        assert_eq!(number_width(chunks), width, "{chunks}");
    }
}

#[test]
fn parts_are_few_and_even() {
    let check =
        |count, max, expected: &[u64]| assert_eq!(part_sizes(count, max), expected, "{count} by {max}");
    check(0, 50, &[]);
    check(1, 50, &[1]);
    check(50, 50, &[50]);
    check(51, 50, &[26, 25]);
    check(149, 50, &[50, 50, 49]);
    check(3, 0, &[1, 1, 1]);
    check(7, u64::MAX, &[7]);
}

proptest! {
    #[test]
    fn parts_add_up_are_balanced_and_minimal(count in 0u64..100_000, max in 1u64..5_000) {
        let parts = part_sizes(count, max);
        prop_assert_eq!(parts.iter().sum::<u64>(), count);
        prop_assert!(parts.iter().all(|&part| 0 < part && part <= max));
        let (least, most) = (parts.iter().min().unwrap_or(&0), parts.iter().max().unwrap_or(&0));
        prop_assert!(most - least <= 1);
        // One part fewer could not hold them all.
        prop_assert!(parts.is_empty() || (parts.len() as u64 - 1) * max < count);
    }
}
