//! Imports of truncated, changed or newer files: refused with the number of the line, and nothing is left behind.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::store::Store;
use crate::{files, small_export};

/// The lines with a matching last line, as a forger would write it.
fn with_checksum(lines: &[String]) -> String {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{text}{}\n", json!({"line": "end", "lines": lines.len(), "sha256": hash}))
}

/// Asserts that an import is refused with these words and leaves nothing behind.
#[track_caller]
fn assert_refused(content: impl AsRef<[u8]>, words: &[&str]) {
    let other = Store::new_sqlite();
    other.write("bad.jsonl", content);
    let before = files(other.folder());
    let ran = other.tasktally(["import", "bad.jsonl"]).finish();
    assert!(matches!(ran.code, Some(1 | 2)), "{words:?}: {}", ran.output());
    for word in words {
        assert!(ran.output().contains(word), "no {word:?} in {}", ran.output());
    }
    assert!(!other.file().exists(), "{words:?}: there is a store");
    let after = files(other.folder());
    assert_eq!(before, after, "{words:?}: something was left");
}

#[test]
fn changed_lines_are_refused_with_their_number() {
    let (_store, path, lines) = small_export();
    let whole = std::fs::read_to_string(&path).unwrap();
    let body = &lines[..lines.len() - 1];
    let at = |kind: &str, nth: usize| {
        let begin = format!("{{\"line\":\"{kind}\"");
        body.iter().enumerate().filter(|(_, line)| line.starts_with(&begin)).nth(nth).unwrap().0
    };
    // Changes that the checksum in the last line finds.
    assert_refused("", &["line 1", "truncated"]);
    assert_refused("hello\n", &["line 1: this is not an export of Tasktally"]);
    assert_refused("{\"line\":\"task\"}\n", &["line 1", "this is not an export of Tasktally"]);
    assert_refused(&whole[..whole.len() - 30], &[&format!("line {}", lines.len()), "truncated"]);
    assert_refused(format!("{}\n", body.join("\n")), &[&format!("line {}", lines.len()), "truncated"]);
    assert_refused(whole.replace("\"B\"", "\"C\""), &["changed since it was written"]);
    assert_refused(whole.replace('\n', "\r\n"), &["changed since it was written"]);
    assert_refused(format!("{whole}{{}}\n"), &["more after the last line"]);
    let mut missing = lines.clone();
    missing.remove(at("item", 0));
    assert_refused(format!("{}\n", missing.join("\n")), &["lines were written"]);
    // Changes that are found although the checksum matches.
    let edited = |place: usize, from: &str, to: &str| {
        let mut edited = body.to_vec();
        assert!(edited[place].contains(from), "{from} in {}", edited[place]);
        edited[place] = edited[place].replacen(from, to, 1);
        (with_checksum(&edited), format!("line {}", place + 1))
    };
    let (receipt, task, item) = (at("receipt", 1), at("task", 0), at("item", 1));
    for (place, from, to, words) in [
        (receipt, "mail 1", "mail 9", "receipt 2 of task"),
        (receipt, "\"number\":2", "\"number\":3", "without the one before"),
        (receipt, "\"late\":false", "\"late\":true", "is not as it was written"),
        (receipt, "\"hash\":\"", "\"hash\":\"x", "hexadecimal"),
        (receipt, "\"created_at\":\"2", "\"created_at\":\"x2", "is no time"),
        (task, "\"status\":\"active\"", "\"status\":\"asleep\"", "'asleep' is not a valid status"),
        (task, "\"priority\":2", "\"priority\":2.5", "no whole number"),
        (task, "\"priority\":2", "\"priority\":\"2\"", "is no number"),
        (task, "\"has_checkbox\":false", "\"has_checkbox\":2", "neither true nor false"),
        (task, "\"title\":\"First\",", "", "task.title"),
        (task, "\"title\":", "\"tilte\":", "a line of table task has no member 'tilte'"),
        (task, "\"role\":\"task\"", "\"role\":\"king\"", "does not fit"),
        (task, "\"line\":\"task\"", "\"line\":\"tusk\"", "'tusk' is no line"),
        (task, "\"line\":\"task\",", "", "the field 'line' is missing"),
        (task, "{", "[", "not valid JSON"),
        (item, "\"key\":\"b\"", "\"key\":\"a\"", "UNIQUE"),
        (item, "\"batch\":\"", "\"batch\":\"x", "there is no task"),
        (
            at("task_count", 0),
            "{\"line\":\"task_count\"",
            "{\"line\":\"tasktally\"",
            "'tasktally' is no line",
        ),
    ] {
        let (text, line) = edited(place, from, to);
        assert_refused(text, &[&line, words, "nothing was imported"]);
    }
    let mut swapped = body.to_vec();
    swapped.swap(receipt, receipt + 1);
    assert_refused(with_checksum(&swapped), &[&format!("line {}", receipt + 1), "without the one before"]);
    let mut sorted = body.to_vec();
    sorted.swap(task, item);
    assert_refused(with_checksum(&sorted), &["line"]);
    let mut fewer = body.to_vec();
    fewer.remove(at("receipt", 2));
    assert_refused(with_checksum(&fewer), &["table receipt has 3 lines, 2 are there"]);
    fewer[0] = fewer[0].replacen("\"receipt\":3", "\"receipt\":2", 1);
    assert_refused(with_checksum(&fewer), &["2 of 3 receipts are there"]);
    let mut counted = body.to_vec();
    counted.remove(at("task_count", 0));
    assert_refused(with_checksum(&counted), &["the first line says that table task_count"]);
    let first: serde_json::Value = serde_json::from_str(&counted[0]).unwrap();
    let count = first["counts"]["task_count"].as_u64().unwrap();
    counted[0] =
        counted[0].replacen(&format!("\"task_count\":{count}"), &format!("\"task_count\":{}", count - 1), 1);
    assert_refused(with_checksum(&counted), &["the task count of"]);
}

#[test]
fn a_newer_format_or_schema_is_refused_as_newer() {
    let (_, _, lines) = small_export();
    let schema = format!("\"schema\":{}", tasktally::store::sqlite::SCHEMA_VERSION);
    for (from, to) in [("\"format\":1", "\"format\":2"), (&schema, "\"schema\":999")] {
        let mut newer = lines[..lines.len() - 1].to_vec();
        newer[0] = newer[0].replacen(from, to, 1);
        assert_refused(with_checksum(&newer), &["written by a newer tasktally"]);
    }
    let mut older = lines[..lines.len() - 1].to_vec();
    older[0] = older[0].replacen(&schema, "\"schema\":8", 1);
    assert_refused(with_checksum(&older), &["can be imported"]);
    // Schema 10 added tables that are not exported, schema 11 a column that may be missing, and schema 12
    // an index.
    let mut previous = lines[..lines.len() - 1].to_vec();
    previous[0] = previous[0].replacen(&schema, "\"schema\":9", 1);
    for line in &mut previous {
        *line = line.replace(",\"accepted_failures\":0", "");
    }
    let other = Store::new_sqlite();
    other.write("previous.jsonl", with_checksum(&previous));
    other.tasktally(["import", "previous.jsonl"]).success();
}

#[test]
fn a_too_long_line_is_refused_without_being_read_completely() {
    let (_, _, lines) = small_export();
    let mut text = format!("{}\n{{\"line\":\"task\",\"title\":\"", lines[0]).into_bytes();
    text.resize(80 << 20, b'x');
    assert_refused(&text, &["line 2", "64 MiB"]);
}
