mod roots;

use std::fs::{create_dir_all, write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A root to read from, and a folder outside of it.
struct Folders {
    _all: TempDir,
    root: PathBuf,
    outside: PathBuf,
}

fn folders() -> Folders {
    let all = tempfile::tempdir().unwrap();
    let (root, outside) = (all.path().join("root"), all.path().join("outside"));
    create_dir_all(root.join("sub")).unwrap();
    create_dir_all(&outside).unwrap();
    write(root.join("a.jsonl"), "{\"key\":\"a\"}\n").unwrap();
    write(outside.join("secret.jsonl"), "{\"key\":\"s\"}\n").unwrap();
    Folders { _all: all, root, outside }
}

fn open(roots: &SourceRoots, path: &str, key: &str) -> Result<Vec<String>, String> {
    let items = read_source(&path.parse().unwrap(), roots, key, 32).map_err(|e| e.to_string())?;
    Ok(items.map(shown).collect())
}

/// An item as a line: its place, key and JSON, or the reason why it is bad.
fn shown(item: Result<Item, BadItem>) -> String {
    match item {
        Ok(Item { key, json, origin: place, .. }) => format!("{place}: {key} {json}"),
        Err(bad) => format!("BAD {bad}"),
    }
}

/// The lines of items that a request brings itself.
fn inline(items: &Value, key: &str) -> Vec<String> {
    inline_items(&serde_json::from_value(items.clone()).unwrap(), key).map(shown).collect()
}

/// Reads `content` as a file of that name and asserts the beginnings of the items' lines.
#[track_caller]
fn check(name: &str, content: impl AsRef<[u8]>, key: &str, expected: &[&str]) {
    let here = folders();
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
fn jsonl_has_one_item_per_line() {
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
fn bad_lines_are_reported_and_skipped() {
    let content =
        b"{\"key\":\"a\"\n[1]\n{\"date\":1,\"kind\":2,\"subject\":3}\n\"x\"\n{\"key\":\"\xff\"}\n{\"key\":\"ok\"}\n";
    check(
        "a",
        content,
        "key",
        &[
            "BAD line 1: '{\"key\":\"a\"' is not JSON, at column 10: it ends too early; a closing } or ] is missing; write one object per line, such as {\"key\": \"a\"}",
            "BAD line 2: a list, not an object",
            "BAD line 3: no field \"key\" to take the key from; its fields are date, kind, subject (key=… names another, key=\"@line\" numbers them)",
            "BAD line 4: a string, not an object",
            "BAD line 5: not UTF-8 at byte 9",
            "line 6: ok",
        ],
    );
}

#[test]
fn a_key_is_short_visible_text_or_an_exact_number() {
    let key = |value: Value| inline(&json!([{ "key": value }]), "key").remove(0);
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
fn lines_that_are_too_long_are_skipped_without_being_kept() {
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
fn csv_has_one_item_per_row_named_by_its_first_line() {
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
    // The limit is for one row, not for the file.
    let many = "key\n".to_owned() + &"0123456789\n".repeat(200_000);
    let here = folders();
    write(here.root.join("many.csv"), many).unwrap();
    assert_eq!(open(&SourceRoots::new([&here.root]), "many.csv", "key").unwrap().len(), 200_000);
}

#[test]
fn a_csv_file_without_a_usable_header_is_refused() {
    let here = folders();
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
fn a_folder_has_one_item_per_regular_file_at_any_depth() {
    let here = folders();
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
            &format!(
                "BAD file sub/link: a symbolic link to {}, which is not followed",
                here.root.join("a.jsonl").display()
            ),
            "BAD file sub/up: a symbolic link to .., which is not followed",
            "BAD file sub/x\\u{202e}y: field \"key\": the key \"sub/x\\u{202e}y\" holds",
        ],
    );
    let lines = open(&roots, "sub/", "path").unwrap();
    compare(&lines[..1], &["file b.txt: sub/b.txt {\"key\":\"b.txt\",\"path\":\"sub/b.txt\""]);
}

#[test]
fn inline_items_are_objects_or_bare_keys() {
    compare(
        &inline(&json!([{"id": "a", "n": 1}, "b", 3, null, []]), "id"),
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
    let source = ItemSource::at("a.csv");
    for written in [json!("a.csv"), json!({"path": "a.csv"})] {
        assert_eq!(serde_json::from_value::<ItemSource>(written).unwrap(), source);
    }
    assert_eq!(serde_json::to_value(&source).unwrap(), json!({"path": "a.csv"}));
    let misspelt = serde_json::from_value::<ItemSource>(json!({"file": "a.csv"})).unwrap_err().to_string();
    assert!(misspelt.contains("unknown field `file`, expected one of `path`, `glob`"), "{misspelt}");
}

#[test]
fn a_glob_chooses_among_the_files_of_a_folder() {
    let here = folders();
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
    sendable(inline_items(&InlineItems::parse("[]").unwrap(), "key"));
}

#[test]
fn the_text_of_an_object_is_an_item_and_no_key() {
    compare(
        &inline(
            &json!([r#"{"key": "1", "subject": "A"}"#, r#" {"key":"2"} "#, "{draft}", "{", r#"{"key": "#]),
            "key",
        ),
        &[
            r#"item 1: 1 {"key": "1", "subject": "A"}"#,
            r#"item 2: 2 {"key":"2"}"#,
            r#"item 3: {draft} {"key":"{draft}"}"#,
            "item 4: { ",
            "BAD item 5: the text of an object, but '{\"key\":' is not JSON, at column 7: it ends too early",
        ],
    );
    let list = json!(
        r#"[{"key": "a", "n": 1234567890123456789012}, "b", "{\"key\": \"c\"}", {"key":"d","key":"e"}]"#
    );
    compare(
        &inline(&list, "key"),
        &[
            r#"item 1: a {"key": "a", "n": 1234567890123456789012}"#,
            r#"item 2: b {"key":"b"}"#,
            r#"item 3: c {"key": "c"}"#,
            "BAD item 4: '{\"key\":\"d\",\"key\":\"e\"}', at column 16: the key 'key' occurs twice in one object; remove one",
        ],
    );
    for text in ["{}", "x", "[1", "[1] 2", ""] {
        assert!(InlineItems::parse(text).unwrap_err().contains("not a JSON array"), "{text}");
    }
}

#[test]
fn an_item_keeps_its_digits_and_its_text() {
    let line = r#"{"key": "a",  "n": 1234567890123456789012, "pi": 3.14159265358979323846, "e": 1e400, "s": "\u00e9"}"#;
    check("a.jsonl", line, "key", &[&format!("line 1: a {line}")]);
    check("b.jsonl", r#"{"id": 12345678901234567890123}"#, "id", &["line 1: 12345678901234567890123 {"]);
    check(
        "c.jsonl",
        "{\"key\":\"b\",\"key\":\"c\"}\n{\"key\":\"d\",\"a\":{\"x\":1,\"x\":2}}\n",
        "key",
        &[
            "BAD line 1: '{\"key\":\"b\",\"key\":\"c\"}', at column 16: the key 'key' occurs twice",
            "BAD line 2: '{\"key\":\"d\",\"a\":{\"x\":1,\"x\":2}}', at column 25: the key 'x' occurs twice",
        ],
    );
}

#[test]
fn lines_may_end_with_cr_alone() {
    check("a.jsonl", "{\"key\":\"a\"}\r\r{\"key\":\"b\"}\r", "key", &["line 1: a", "line 3: b"]);
    check("a.csv", "key,a\r1,x\r2,y\r", "key", &["line 2: 1 ", "line 3: 2 "]);
}

#[test]
fn json_lists_and_indented_objects_are_read() {
    let list = "\u{feff}[\n  {\"key\": \"a\",\n   \"b\": [1, \"]\"]},\n  \"c\",\n  5, null\n]\n";
    let expected = [
        r#"item 1: a {"key":"a","b":[1,"]"]}"#,
        r#"item 2: c {"key":"c"}"#,
        "item 3: 5 ",
        "BAD item 4: null",
    ];
    for name in ["a.json", "a.jsonl", "a", "a.txt"] {
        check(name, list, "key", &expected);
    }
    check("b.json", "[]", "key", &[]);
    check("c.json", "{\"key\": 1}\n{\"key\": 2}\n", "key", &["line 1: 1 ", "line 2: 2 "]);
    let indented = "{\n  \"key\": \"a\"\n}\n{\n  \"key\": \"b\"\n}\n";
    for name in ["d.json", "d.jsonl", "d"] {
        check(name, indented, "key", &["line 1: a {\"key\":\"a\"}", "line 4: b"]);
    }
    let one = "{\n  \"total\": 2,\n  \"items\": [{\"key\": \"a\"}, {\"key\": \"b\"}]\n}";
    check("e.json", one, "key", &["BAD line 1: no field \"key\""]);
    let here = folders();
    write(here.root.join("e.json"), one).unwrap();
    let lines = open(&SourceRoots::new([&here.root]), "e.json", "key").unwrap();
    assert!(lines[0].contains("jq -c '.[\"items\"][]' FILE"), "{lines:?}");
    for (text, end) in [
        ("[{\"key\":1}, {\"key\"", "BAD item 2: the file ends within this value"),
        ("[{\"key\":1} {\"key\":2}]", "BAD line 1: '{' where a comma or the end of the list is expected"),
        ("[{\"key\":1}", "BAD line 1: the file ends before the list does"),
        ("[{\"key\":1}]\n[]", "BAD line 2: '[' after the end of the list"),
        ("[{\"key\":1},,{\"key\":2}]", "BAD line 1: ',' where a value is expected"),
    ] {
        check("f.json", text, "key", &["item 1: 1", end]);
    }
    check(
        "g.json",
        "[{\"key\":1},{\"key\":x},{\"key\":3}]",
        "key",
        &["item 1: 1", r#"BAD item 2: '{"key":x}' is not JSON"#, "item 3: 3"],
    );
}

#[test]
fn tables_with_other_delimiters_are_read() {
    let expected = ["line 2: 1 {\"key\":\"1\",\"a\":\"x, y\"}"];
    check("a.tsv", "key\ta\n1\tx, y\n", "key", &expected);
    check("a.csv", "key;a\n1;x, y\n", "key", &expected);
    check("b.csv", "key|a\n1|x, y\n", "key", &expected);
    check("c.csv", "key\ta\n1\tx, y\n", "key", &expected);
    check("d.csv", "key, a\n1, \"x, y\"\n", "key", &expected);
    check("e.csv", " key ,a\n1,\"x, y\"\n", "key", &expected);
    check("items", "key;a\n1;x, y\n", "key", &expected);
    check("f.csv", "sep=;\r\nkey;a\r\n1;x, y\r\n", "key", &["line 3: 1 {\"key\":\"1\",\"a\":\"x, y\"}"]);
    let here = folders();
    let roots = SourceRoots::new([&here.root]);
    write(here.root.join("g.txt"), "key:a\n1:x, y\n").unwrap();
    let named = r#"{"path": "g.txt", "delimiter": ":"}"#;
    compare(&open(&roots, named, "key").unwrap(), &expected);
    let named = r#"{"path": "g.txt", "format": "csv", "delimiter": ";", "glob": ""}"#;
    refused(&roots, named, "It was read as CSV with the delimiter semicolon");
    refused(&roots, r#"{"path": "a.jsonl", "format": "jsonl", "delimiter": ";"}"#, "JSON has none");
    refused(&roots, r#"{"path": "sub", "format": "csv"}"#, "is a folder");
    assert!(r#"{"path": "a", "format": "xlsx"}"#.parse::<ItemSource>().is_err());
    assert!(r#"{"path": "a", "delimiter": ";;"}"#.parse::<ItemSource>().is_err());
}

#[test]
fn items_can_be_named_by_their_number() {
    check("a.csv", "a,b\nx,1\n\nx,1\n", "@line", &["line 2: 2 {\"a\":\"x\"", "line 4: 4 "]);
    check("a.jsonl", "{\"a\":1}\n{\"a\":1}\n", "@line", &["line 1: 1 {\"a\":1}", "line 2: 2 {\"a\":1}"]);
    compare(
        &inline(&json!([{"a": 1}, "x"]), "@line"),
        &["item 1: 1 {\"a\":1}", "item 2: 2 {\"value\":\"x\"}"],
    );
    let here = folders();
    let lines = open(&SourceRoots::new([&here.root]), ".", "@line").unwrap();
    compare(&lines, &["BAD file a.jsonl: key=\"@line\" numbers lines"]);
}

#[test]
fn compressed_files_are_read_and_other_kinds_are_named() {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    check("a.jsonl.gz", gzip("{\"key\":\"a\"}\n"), "key", &["line 1: a"]);
    check("a.csv.gz", gzip("key;a\n1;x\n"), "key", &["line 2: 1 "]);
    check("a.json", gzip("[{\"key\":\"a\"}]"), "key", &["item 1: a"]);
    // Parts that were compressed apart are one file.
    check(
        "b.jsonl.gz",
        [gzip("{\"key\":\"a\"}\n"), gzip("{\"key\":\"b\"}\n")].concat(),
        "key",
        &["line 1: a", "line 2: b"],
    );
    let here = folders();
    let roots = SourceRoots::new([&here.root]);
    for (content, because) in [
        (&gzip(&"{\"key\":\"a\"}\n".repeat(99))[..30], "cannot be read"),
        (&gzip("")[..5], "cannot be read"),
        (b"PK\x03\x04 xl/workbook.xml", "\"b\" is an Excel workbook (.xlsx); save the sheet as CSV UTF-8"),
        (b"PAR1....", "is a Parquet file"),
        (b"\xff\xfek\0", "is UTF-16"),
        (b"key,a\n\0,x", "is not text: byte 7 is zero"),
        (b"<html><table>", "is HTML"),
    ] {
        write(here.root.join("b"), content).unwrap();
        refused(&roots, "b", because);
    }
}
