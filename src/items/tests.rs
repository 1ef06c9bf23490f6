mod roots;

use std::fs::{create_dir_all, write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A root folder to read from, and beside it a place that is none of its business.
struct Folders {
    _all: TempDir,
    root: PathBuf,
    outside: PathBuf,
}

fn place() -> Folders {
    let all = tempfile::tempdir().unwrap();
    let (root, outside) = (all.path().join("root"), all.path().join("outside"));
    create_dir_all(root.join("sub")).unwrap();
    create_dir_all(&outside).unwrap();
    write(root.join("a.jsonl"), "{\"key\":\"a\"}\n").unwrap();
    write(outside.join("secret.jsonl"), "{\"key\":\"s\"}\n").unwrap();
    Folders { _all: all, root, outside }
}

fn open(roots: &SourceRoots, path: &str, key: &str) -> Result<Vec<String>, String> {
    let items = read_source(&path.parse().unwrap(), roots, key).map_err(|e| e.to_string())?;
    Ok(items.map(shown).collect())
}

/// An item as a line: its place, key and fields, or what is wrong with it.
fn shown(item: Result<Item, BadItem>) -> String {
    match item {
        Ok(Item { key, fields, origin: place }) => format!("{place}: {key} {}", Value::Object(fields)),
        Err(bad) => format!("BAD {bad}"),
    }
}

/// Reads `content` as a file of that name and compares the items' lines, each only
/// as far as the expectation goes.
#[track_caller]
fn check(name: &str, content: impl AsRef<[u8]>, key: &str, expected: &[&str]) {
    let here = place();
    write(here.root.join(name), content).unwrap();
    compare(&open(&SourceRoots::new([&here.root]), name, key).unwrap(), expected);
}

#[track_caller]
fn compare(lines: &[String], expected: &[&str]) {
    let same = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start));
    let lines: Vec<String> = lines.iter().map(|line| line.chars().take(200).collect()).collect();
    assert!(same, "{lines:#?}\ninstead of\n{expected:#?}");
}

#[track_caller]
fn refused(roots: &SourceRoots, path: &str, because: &str) {
    let reason = open(roots, path, "key").expect_err(path);
    assert!(reason.contains(because), "{path}: {reason}");
}

#[test]
fn jsonl_gives_an_item_a_line_with_its_number() {
    check(
        "a",
        "\u{feff}{\"key\":\"b\",\"a\":1}\n\n  \r\n{\"key\":7}\r\n{\"key\":\"last\"}",
        "key",
        &["line 1: b {\"key\":\"b\",\"a\":1}", "line 4: 7 {\"key\":7}", "line 5: last"],
    );
    check("empty", "", "key", &[]);
    check("deep", r#"{"head":{"id":"x"}}"#, "/head/id", &[r#"line 1: x {"head":{"id":"x"}}"#]);
}

#[test]
fn bad_lines_are_told_and_passed_over() {
    let content =
        b"{\"key\":\"a\"\n[1]\n{\"date\":1,\"kind\":2,\"subject\":3}\n\"x\"\n{\"key\":\"\xff\"}\n{\"key\":\"ok\"}\n";
    check(
        "a",
        content,
        "key",
        &[
            "BAD line 1: not JSON at column 10: EOF while parsing an object; write an object a line",
            "BAD line 2: a list, not an object",
            "BAD line 3: no field \"key\" to take the key from; its fields are date, kind, subject (key=… names another)",
            "BAD line 4: a string, not an object",
            "BAD line 5: not UTF-8 at byte 9",
            "line 6: ok",
        ],
    );
}

#[test]
fn a_key_is_short_visible_text_or_an_exact_number() {
    let key = |value: Value| shown(inline_items(vec![json!({ "key": value })], "key").next().unwrap());
    let check =
        |value: Value, expected: &str| assert!(key(value.clone()).starts_with(expected), "{}", key(value));
    check(json!("é".repeat(200)), "item 1: é");
    check(json!(1.5), "item 1: 1.5 ");
    check(json!(u64::MAX), "item 1: 18446744073709551615 ");
    check(json!(1e20), "BAD item 1: field \"key\": 1e+20 has too many digits");
    check(json!("é".repeat(201)), "BAD item 1: field \"key\": the key has 201 characters, at most 200");
    check(json!(" "), "BAD item 1: field \"key\": the key is empty");
    check(json!(null), "BAD item 1: field \"key\": null cannot be a key");
    check(json!(["a"]), "BAD item 1: field \"key\": a list cannot be a key");
    for hidden in ["a\nb", "a\u{7f}", "a\u{202e}b", "a\u{2066}b"] {
        let line = key(json!(hidden));
        assert!(line.contains("holds control or bidirectional"), "{line}");
        assert!(!line.contains(hidden), "{line}");
    }
}

#[test]
fn what_is_too_large_is_passed_over_without_being_held() {
    let line = |size: usize| format!("{{\"key\":\"a\",\"b\":\"{}\"}}\n", "x".repeat(size - 18));
    let over = "BAD line 2: longer than 1048576 bytes";
    check(
        "a",
        line(262_144) + &line((1 << 20) + 1) + &line(1 << 20),
        "key",
        &["line 1: a", over, "BAD line 3: the item has 1048576 bytes; at most 262144 (256 KiB)"],
    );
    check("a", line(262_145), "key", &["BAD line 1: the item has 262145 bytes"]);
    check("a", "{}\n".to_owned() + "x".repeat(3 << 20).as_str(), "key", &["BAD line 1: no field", over]);
}

#[test]
fn csv_gives_an_item_a_row_on_the_line_where_it_begins() {
    for end in ["\n", "\r\n"] {
        let rows = [
            "\u{feff}key,\"sub,ject\"",
            "a,\"one\ntwo\"",
            "b,\"say \"\"hi\"\"\"",
            "c",
            "",
            "d,1,2",
            "e,",
            ",x",
        ];
        let content = rows.join(end);
        let expected = [
            "line 2: a {\"key\":\"a\",\"sub,ject\":\"one\\ntwo\"}",
            "line 4: b {\"key\":\"b\",\"sub,ject\":\"say \\\"hi\\\"\"}",
            "BAD line 5: 1 columns where the header names 2",
            "BAD line 7: 3 columns where the header names 2",
            "line 8: e {\"key\":\"e\",\"sub,ject\":\"\"}",
            "BAD line 9: field \"key\": the key is empty",
        ];
        check("a.CSV", &content, "key", &expected);
        check("a.CSV", content + end, "key", &expected);
    }
    check("b.csv", b"key\n\xff\nb\n", "key", &["BAD line 2: not UTF-8 in column 1", "line 3: b"]);
    check("c.csv", "key\n", "key", &[]);
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_file() {
    let content = "key\na\n\"b\n".to_owned() + &"x\n".repeat(2 << 20);
    check(
        "a.csv",
        content,
        "key",
        &[
            "line 2: a",
            "BAD line 3: the row is longer than 1048576 bytes (1 MiB); is a quote not closed?; what follows",
        ],
    );
    // Short rows may come to more than that together.
    let many = "key\n".to_owned() + &"0123456789\n".repeat(200_000);
    let here = place();
    write(here.root.join("many.csv"), many).unwrap();
    assert_eq!(open(&SourceRoots::new([&here.root]), "many.csv", "key").unwrap().len(), 200_000);
}

#[test]
fn a_csv_file_without_a_usable_header_is_refused() {
    let here = place();
    let roots = SourceRoots::new([&here.root]);
    for (content, because) in [
        ("", "is empty; its first line must name the columns"),
        ("key,a,a\n", "names the column \"a\" twice"),
        ("id,a\n", "\"a.csv\" has no field \"key\" to take the key from; its fields are id, a (key=…"),
    ] {
        write(here.root.join("a.csv"), content).unwrap();
        refused(&roots, "a.csv", because);
    }
}

#[test]
fn a_folder_gives_an_item_a_regular_file_beneath_it() {
    let here = place();
    write(here.root.join("sub/b.txt"), "12345").unwrap();
    write(here.root.join("sub/x\u{202e}y"), "").unwrap();
    symlink(here.root.join("a.jsonl"), here.root.join("sub/link")).unwrap();
    symlink("..", here.root.join("sub/up")).unwrap();
    let roots = SourceRoots::new([&here.root]);
    let lines = open(&roots, ".", "key").unwrap();
    compare(
        &lines,
        &[
            "file a.jsonl: a.jsonl {\"key\":\"a.jsonl\",\"path\":\"./a.jsonl\",\"size\":12,\"modified\":\"20",
            "file sub/b.txt: sub/b.txt {\"key\":\"sub/b.txt\",\"path\":\"./sub/b.txt\",\"size\":5",
            "BAD file sub/x\\u{202e}y: field \"key\": the key \"sub/x\\u{202e}y\" holds",
        ],
    );
    let lines = open(&roots, "sub/", "path").unwrap();
    compare(&lines[..1], &["file b.txt: sub/b.txt {\"key\":\"b.txt\",\"path\":\"sub/b.txt\""]);
}

#[test]
fn inline_items_are_objects_or_bare_keys() {
    let lines: Vec<String> =
        inline_items(vec![json!({"id": "a", "n": 1}), json!("b"), json!(3), json!(null), json!([])], "id")
            .map(shown)
            .collect();
    compare(
        &lines,
        &[
            "item 1: a {\"id\":\"a\",\"n\":1}",
            "item 2: b {\"id\":\"b\"}",
            "item 3: 3 {\"id\":3}",
            "BAD item 4: null, not an object",
            "BAD item 5: a list, not an object",
        ],
    );
}

#[test]
fn a_source_is_an_object_or_a_path() {
    let source = ItemSource { path: "a.csv".to_owned(), glob: None };
    for written in [json!("a.csv"), json!({"path": "a.csv"})] {
        assert_eq!(serde_json::from_value::<ItemSource>(written).unwrap(), source);
    }
    assert_eq!(serde_json::to_value(&source).unwrap(), json!({"path": "a.csv"}));
    let misspelt = serde_json::from_value::<ItemSource>(json!({"file": "a.csv"})).unwrap_err().to_string();
    assert!(misspelt.contains("unknown field `file`, expected `path` or `glob`"), "{misspelt}");
}

#[test]
fn a_glob_chooses_among_the_files_of_a_folder() {
    let here = place();
    for name in ["sub/b.eml", "c.eml", "c.txt"] {
        write(here.root.join(name), "").unwrap();
    }
    let roots = SourceRoots::new([&here.root]);
    let chosen = |source: &str| open(&roots, source, "key");
    compare(&chosen(r#"{"path": ".", "glob": "*.eml"}"#).unwrap(), &["file c.eml: c.eml {"]);
    compare(
        &chosen(r#"{"path": ".", "glob": "**/*.eml"}"#).unwrap(),
        &["file c.eml: c.eml {", "file sub/b.eml: sub/b.eml {"],
    );
    compare(&chosen(r#"{"path": ".", "glob": "*.none"}"#).unwrap(), &[]);
    refused(&roots, r#"{"path": "a.jsonl", "glob": "*"}"#, "glob: \"a.jsonl\" is a file");
    refused(&roots, r#"{"path": ".", "glob": "["}"#, "glob: \"[\" is not a valid pattern");
    let misspelt = r#"{"path": ".", "golb": "*"}"#.parse::<ItemSource>().unwrap_err().to_string();
    assert!(misspelt.contains("unknown field `golb`"), "{misspelt}");
}

#[test]
fn items_can_be_read_on_another_thread() {
    fn sendable<T: Send>(_: T) {}
    sendable(inline_items(Vec::new(), "key"));
}
