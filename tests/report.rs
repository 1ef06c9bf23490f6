//! `tasktally report`: the numbers add up, hostile text is escaped, and memory stays bounded for large batches.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tasktally::model::cost::Cost;
use tasktally::model::receipt::{GENESIS_HASH, Receipt};
use tasktally::model::timestamp::Timestamp;

use support::store::Store;

/// Writes the report. Returns the Markdown and the HTML.
#[track_caller]
fn report(store: &Store, batch: &str) -> [String; 2] {
    let written = store.tasktally(["report", batch, "--json"]).success().json();
    assert_eq!(written["success"], true, "{written}");
    read(&written)
}

fn read(written: &Value) -> [String; 2] {
    [0, 1].map(|n| fs::read_to_string(written["files"][n].as_str().unwrap()).expect("a report"))
}

fn folder(store: &Store, batch: &str) -> PathBuf {
    store.folder().join("scratch").join(format!("batch-{batch}"))
}

/// The rows of the Markdown table under a heading, split into cells.
fn markdown_rows(report: &str, heading: &str) -> Vec<Vec<String>> {
    let section = report.split("\n## ").find(|section| section.starts_with(heading)).expect(heading);
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The rows of the HTML table under a heading, split into cells without their tags.
fn html_rows(report: &str, heading: &str) -> Vec<Vec<String>> {
    let section = report.split("<h2>").find(|section| section.starts_with(heading)).expect(heading);
    let rows = section.lines().filter(|line| line.contains("<tr><td"));
    rows.map(|row| {
        let cells = row[row.find("<td").unwrap()..].split("</td>").filter(|cell| cell.starts_with("<td"));
        cells.map(|cell| without_tags(cell).trim().to_owned()).collect()
    })
    .collect()
}

fn without_tags(html: &str) -> String {
    html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect()
}

/// The counts as they are written in a table cell.
fn categories(counts: &Value) -> String {
    let counts = counts.as_object().expect("categories").iter();
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_report_of_a_real_run_adds_up_to_get_batch_and_the_summary_files() {
    let store = Store::new();
    let root = env!("CARGO_MANIFEST_DIR");
    // The worker of the example, except that it fails for one kind of item.
    store.write(
        "worker.sh",
        format!(
            "item=$(cat)\ncase $item in *'\"kind\": \"test\"'*) echo \"tests are not filed\" >&2; exit 1 ;; esac\n\
             printf %s \"$item\" | sh {root}/examples/file-commit.sh\n"
        ),
    );
    let items = format!("{root}/examples/commits.jsonl");
    let run = ["run", "--items", &items, "--split", "month:date", "--json", "--", "sh", "worker.sh"];
    let ran = store.tasktally(run).code(1);
    let done: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let batch = done["batch"]["id"].as_str().unwrap();
    let reports = report(&store, batch);
    let shown = store.tasktally(["get-batch", batch, "--json"]).success().json();
    let failures = store.tasktally(["get-batch", batch, "--view", "failures", "--json"]).success().json();
    let count = |object: &Value, name: &str| object[name].as_u64().unwrap_or(0);
    let whole = &shown["batch"];
    assert_eq!(count(whole, "total"), 663);
    let failed = count(&whole["outcomes"], "failed");
    assert!(failed > 0, "{whole}");

    for (rows, failed_rows) in [
        (markdown_rows(&reports[0], "Chunks"), markdown_rows(&reports[0], "Failures")),
        (html_rows(&reports[1], "Chunks"), html_rows(&reports[1], "Failures")),
    ] {
        let number = |row: &[String], column: usize| row[column].parse::<u64>().unwrap();
        let (sum, chunks) = rows.split_last().unwrap();
        let reply = shown["chunks"].as_array().unwrap();
        assert_eq!(chunks.len(), reply.len());
        for (row, chunk) in chunks.iter().zip(reply) {
            let file = folder(&store, batch).join(format!("chunk-{}-summary.json", row[0]));
            let summary: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            assert_eq!(row[2], chunk["status"].as_str().unwrap());
            assert_eq!(number(row, 3), count(chunk, "total"));
            assert_eq!(number(row, 4) + number(row, 5) + number(row, 6), count(chunk, "processed"));
            assert_eq!(count(&summary, "processed"), count(chunk, "processed"));
            assert_eq!(row[10], categories(&summary["categories"]));
        }
        assert_eq!(sum[2], whole["status"].as_str().unwrap());
        for (column, counted) in [
            (3, count(whole, "total")),
            (4, count(&whole["outcomes"], "done")),
            (5, failed),
            (6, count(&whole["outcomes"], "skipped")),
        ] {
            assert_eq!(number(sum, column), counted);
            assert_eq!(chunks.iter().map(|row| number(row, column)).sum::<u64>(), counted);
        }
        assert_eq!(sum[10], categories(&whole["categories"]));
        let items = failed_rows.iter().filter(|row| row[1] != "(the chunk itself)");
        assert_eq!(items.clone().count() as u64, failed);
        assert!(items.clone().all(|row| row[3].contains("tests are not filed")), "{failed_rows:?}");
        let keys: BTreeSet<&str> = items.map(|row| row[1].as_str()).collect();
        let reply = failures["failures"].as_array().unwrap().iter();
        let reply: BTreeSet<&str> = reply.filter_map(|failure| failure["item"].as_str()).collect();
        assert!(reply.is_subset(&keys), "{reply:?} {keys:?}");
    }
    let receipts: u64 = store.sql().query_row("SELECT count(*) FROM receipt", [], |row| row.get(0)).unwrap();
    let bars = html_rows(&reports[1], "Receipts").len() as u64;
    assert_eq!(bars, receipts, "a receipt is missing in the report");
    for report in &reports {
        assert!(report.contains("663 of 663 items processed"), "the head");
        assert!(report.contains(&format!("yes: {receipts} receipts are unchanged")), "the checks");
        assert!(!report.contains("NO:") && !report.contains("**NO**"), "a check failed");
    }
    assert!(reports[1].matches("<rect").count() >= shown["chunks"].as_array().unwrap().len());
}

/// Text that could make a browser or Markdown renderer run code or load files.
const HOSTILE: &str = "</td></details><script>alert(1)</script><img src=x onerror=alert(1)> \
    [a](javascript:alert(1)) ![b](https://evil.example/b.png) www.evil.example | \\| `c` ```\" ' & &lt; *d*";

#[test]
fn hostile_text_is_escaped() {
    let store = Store::new();
    let mut server = store.serve();
    let instructions = format!("{HOSTILE}\n```\n</pre><script>\n# Not a heading");
    let made = server
        .call(
            "create_batch",
            json!({"title": HOSTILE, "instructions": instructions, "project": HOSTILE,
                   "items": [{"key": HOSTILE}, {"key": "b"}]}),
        )
        .ok();
    let batch = made.text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": HOSTILE})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    let body = format!("{HOSTILE}\n\n# heading\n- [ ] box\n\n<b>bold</b>");
    for (item, outcome) in [(HOSTILE, "failed"), ("b", "done")] {
        let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": outcome,
                             "category": HOSTILE, "body": body});
        server.call("update_task", receipt).ok();
    }
    server.close();
    // A store may contain text that this version would refuse.
    let hidden = "'a\u{202e}b\u{1b}[2Jc' || char(10) || char(10) || '<i>d'";
    store.sql().execute(&format!("UPDATE task SET title = {hidden} WHERE parent IS NOT NULL"), []).unwrap();
    store
        .sql()
        .execute(&format!("UPDATE category_count SET category = {hidden} WHERE task > 1"), [])
        .unwrap();

    let [markdown, html] = report(&store, &batch);
    for text in [&markdown, &html] {
        assert!(!text.chars().any(|c| c == '\u{202e}' || (c.is_control() && c != '\n')), "{text}");
    }
    assert!(html.contains(r"a\u{202e}b\u{1b}[2Jc"), "hidden characters are not shown: {html}");
    assert!(markdown.contains(r"a&#92;u\{202e\}b"), "hidden characters are not shown: {markdown}");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the text is missing: {html}");

    let tags: BTreeSet<&str> = tags(&html).into_iter().map(|(name, _)| name).collect();
    let known: BTreeSet<&str> =
        "!doctype html head meta title style body h1 h2 p strong table thead tbody tfoot tr th \
        td details summary pre code svg line text g rect a ul li footer"
            .split_whitespace()
            .collect();
    assert!(tags.is_subset(&known), "{:?}", tags.difference(&known));
    for (name, attributes) in self::tags(&html) {
        let handler = attributes.split(' ').any(|name| name.starts_with("on") && name.contains('='));
        assert!(!handler && !attributes.contains(" src="), "<{name}{attributes}>");
        assert!(
            !attributes.contains("href") || attributes.starts_with(" href=\"#chunk-"),
            "<{name}{attributes}>"
        );
    }
    assert!(!html.contains("url(") && !html.contains("@import"), "the page loads something");

    // The text outside of the code block with the instructions. The instructions must not be able to end that block.
    let (before, rest) =
        markdown.split_once("````text\n").expect("a fence that is longer than any in the text");
    let (_, after) = rest.split_once("\n````\n").expect("its end");
    let outside = format!("{before}{after}");
    let tags: BTreeSet<&str> = self::tags(&outside).into_iter().map(|(name, _)| name).collect();
    assert_eq!(tags, BTreeSet::from(["br", "details", "summary"]), "{outside}");
    assert_eq!(outside.matches("<details>").count(), outside.matches("</details>").count());
    for line in outside.lines() {
        assert!(!line.starts_with("# ") || line.starts_with("# Report: "), "{line}");
        let unescaped = line.replace("\\[", "").replace("\\`", "").replace("\\*", "").replace("**", "");
        assert!(
            !unescaped.contains("[a") && !unescaped.contains("![") && !unescaped.contains("*d"),
            "{line}"
        );
        assert!(!line.replace("\\:", "").contains("://") && !line.contains("www.evil"), "{line}");
    }
    for heading in ["Chunks", "Failures", "Receipts"] {
        let columns = markdown_rows(&markdown, heading)[0].len();
        let expected = [("Chunks", 11), ("Failures", 4), ("Receipts", 7)];
        assert!(expected.contains(&(heading, columns)), "{heading}: {columns} columns");
    }
}

/// The opening tags of a page with their attributes.
fn tags(page: &str) -> Vec<(&str, &str)> {
    let tags = page.split('<').skip(1).filter(|tag| !tag.starts_with('/'));
    tags.map(|tag| {
        let tag = tag.split_once('>').expect("a tag ends").0;
        tag.split_at(tag.find(char::is_whitespace).unwrap_or(tag.len()))
    })
    .collect()
}

#[test]
fn a_report_is_written_to_the_given_folder_and_replaces_the_last_one() {
    let store = Store::new();
    let mut server = store.serve();
    let made = server.call("create_batch", json!({"title": "B", "instructions": "Do.", "items": ["a"]})).ok();
    let (batch, task) = (made.text("/batch/id"), server.create_task("No batch"));
    report(&store, &batch);
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let both = BTreeSet::from(["report.html".to_owned(), "report.md".to_owned()]);
    assert_eq!(names(&folder(&store, &batch)), both, "other files were left");

    let elsewhere = store.folder().join("a").join("b");
    let out = elsewhere.to_str().unwrap();
    let [first, _] = read(&store.tasktally(["report", &batch, "--out", out, "--json"]).success().json());
    assert!(
        first.contains("0 of 1 items processed") && first.contains("There are no receipts yet"),
        "{first}"
    );
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    server.call("update_task", json!({"id": chunk, "claim": token, "item": "a", "outcome": "skipped"})).ok();
    let output = store.tasktally(["report", &batch, "--out", out]).success().output();
    assert!(output.contains("report.md") && output.contains("report.html"), "{output}");
    assert!(fs::read_to_string(elsewhere.join("report.md")).unwrap().contains("1 of 1 items processed"));
    assert_eq!(names(&elsewhere), both);

    for (id, expected) in [
        (format!("{batch}.01"), format!("its batch is {batch}")),
        (task, "is a task, not a batch".to_owned()),
        ("nowhere".to_owned(), "nowhere".to_owned()),
    ] {
        let ran = store.tasktally(["report", &id, "--out", "none"]).finish();
        assert_ne!(ran.code, Some(0));
        assert!(ran.output().contains(&expected), "{}", ran.output());
        assert!(!store.folder().join("none").exists(), "a refused report created a folder");
    }
    store.write("file", "");
    let output = store.tasktally(["report", &batch, "--out", "file/x"]).code(1).output();
    assert!(output.contains("file/x"), "{output}");
    let output = Store::new().tasktally(["report", &batch]).code(2).output();
    assert!(output.contains("there is no such file"), "{output}");
}

#[test]
fn a_report_of_a_store_with_wrong_counts_says_so() {
    for (forged, expected) in [
        (
            "UPDATE batch SET items_done = items_done + 1",
            "NO: 1 of 1 chunks add up to 2 of 3 processed items",
        ),
        ("UPDATE category_count SET count = 7 WHERE task = 1", "NO: categories add up to 7 of 2"),
        (
            "UPDATE batch SET items_done = items_done + 1",
            "NO: 1 of 1 chunks add up to 2 of 3 processed items",
        ),
        ("UPDATE category_count SET count = 7 WHERE task = 1", "NO: categories add up to 7 of 2"),
        (
            "DROP TRIGGER receipt_is_never_changed; UPDATE receipt SET text = 'x' WHERE number = 1",
            "NO: receipts were changed after they were written in",
        ),
    ] {
        let store = Store::new();
        let mut server = store.serve();
        let made = server
            .call("create_batch", json!({"title": "B", "instructions": "Do.", "items": ["a", "b", "c"]}))
            .ok();
        let batch = made.text("/batch/id");
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
        let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
        for item in ["a", "b"] {
            let receipt =
                json!({"id": chunk, "claim": token, "item": item, "outcome": "done", "category": "k"});
            server.call("update_task", receipt).ok();
        }
        server.close();
        store.sql().execute_batch(forged).unwrap();
        let written = store.tasktally(["report", &batch, "--json"]).code(1).json();
        assert_eq!(written["success"], false, "{written}");
        let [_, html] = read(&written);
        assert!(html.contains(expected), "{expected}: {html}");
    }
}

const ITEMS: u64 = 100_000;

/// Writes a batch of 100,000 items in ten chunks, each with a receipt, directly with SQLite. Returns its id.
fn create_large_batch(store: &Store) -> String {
    let lines: String = (0..ITEMS).map(|n| format!("{{\"key\":\"mail-{n:06}\"}}\n")).collect();
    store.write("items.jsonl", lines);
    let args =
        ["create-batch", "Large", "--instructions", "Do.", "--source", "items.jsonl", "--max-chunk", "10000"];
    let plan = store.tasktally(args.into_iter().chain(["--json"])).success().json();
    let batch = plan["batch"]["id"].as_str().unwrap().to_owned();
    let connection = store.sql();
    connection.execute_batch("BEGIN").unwrap();
    for chunk in plan["chunks"].as_array().unwrap() {
        let (id, items) = (chunk["id"].as_str().unwrap(), chunk["items"].as_u64().unwrap());
        let row: i64 =
            connection.query_row("SELECT row_id FROM task WHERE id = ?1", [id], |row| row.get(0)).unwrap();
        let mut before = GENESIS_HASH;
        let mut insert = connection
            .prepare("INSERT INTO receipt (task, number, created_at, author, text, late, hash) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)")
            .unwrap();
        for number in 1..=items {
            let receipt = Receipt {
                number,
                at: Timestamp::from_millis(1_700_000_000_000 + number as i64),
                author: "polecat".into(),
                text: format!("- Archived {number}: {}", "a subject ".repeat(20)),
                item: None,
                outcome: None,
                category: None,
                late: false,
                step: None,
                cost: Cost::default(),
            };
            before = receipt.hash(id, &before);
            let values = (row, number, receipt.at.millis(), &receipt.author, &receipt.text, before);
            insert.execute(values).unwrap();
        }
    }
    connection.execute_batch("COMMIT").unwrap();
    batch
}

#[test]
#[cfg(target_os = "linux")]
fn the_report_of_a_hundred_thousand_items_uses_little_memory() {
    let store = Store::new();
    let batch = create_large_batch(&store);
    let mut child = store.tasktally(["report", &batch]).start();
    let mut max_kib = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse().ok());
        max_kib = max_kib.max(peak.unwrap_or(0_u64));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert!(status.success());
    let written = fs::metadata(folder(&store, &batch).join("report.html")).unwrap().len();
    println!("{ITEMS} receipts: {} MB of HTML, {max_kib} KiB at most", written / 1_000_000);
    assert!(written > 30_000_000, "receipts are missing: {written}");
    assert!(max_kib > 0 && max_kib < 64 * 1024, "{max_kib} KiB");
}
