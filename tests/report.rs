//! `tasktally report`: the numbers add up, hostile text is escaped, and memory stays bounded for large batches.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "report/pages.rs"]
mod pages;
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

/// The folder of pages that stands beside the first page in `out`, if there is one.
fn page_folder(out: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let mut folders = entries
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("report-pages-"))
        .collect::<Vec<_>>();
    assert!(folders.len() <= 1, "pages of an earlier report are left: {folders:?}");
    folders.pop()
}

/// The pages of a section in a folder, in order.
fn pages(folder: &Path, section: &str, extension: &str) -> Vec<String> {
    let page = |number| folder.join(format!("{section}-{number:04}.{extension}"));
    (1..).map(page).take_while(|path| path.exists()).map(|path| fs::read_to_string(path).unwrap()).collect()
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
    html_table_rows(section)
}

fn html_table_rows(html: &str) -> Vec<Vec<String>> {
    let rows = html.lines().filter(|line| line.contains("<tr") && line.contains("<td"));
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
            let number_of = |cell: &str| cell.trim_start_matches('[').split(']').next().unwrap().to_owned();
            let file = folder(&store, batch).join(format!("chunk-{}-summary.json", number_of(&row[0])));
            let summary: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            assert_eq!(row[2], chunk["status"].as_str().unwrap());
            assert_eq!(number(row, 3), count(chunk, "total"));
            assert_eq!(number(row, 4) + number(row, 5) + number(row, 6), count(chunk, "processed"));
            assert_eq!(count(&summary, "processed"), count(chunk, "processed"));
            assert_eq!(row[10], categories(&summary["categories"]), "{row:?}");
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
    let receipts: u64 = store.sql().row("SELECT count(*) FROM receipt", &[]);
    let folder = page_folder(&folder(&store, batch)).expect("pages");
    let rows =
        pages(&folder, "receipts", "html").iter().map(|page| html_table_rows(page).len() as u64).sum::<u64>();
    assert_eq!(rows, receipts, "a receipt is missing in the report");
    let rows = pages(&folder, "receipts", "md");
    let rows = rows
        .iter()
        .flat_map(|page| page.lines())
        .filter(|line| line.starts_with("| 1") || line.contains("Z |"));
    assert_eq!(rows.count() as u64, receipts, "a receipt is missing in the Markdown report");
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
    let hidden = "'a\u{202e}b\u{1b}[2Jc\n\n<i>d'";
    store.sql().execute(&format!("UPDATE task SET title = {hidden} WHERE parent IS NOT NULL"), &[]).unwrap();
    store
        .sql()
        .execute(&format!("UPDATE category_count SET category = {hidden} WHERE task > 1"), &[])
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
        "!doctype html head meta title style body h1 h2 h3 p strong table thead tbody tr th \
        td pre code svg line text g rect a small ul li footer"
            .split_whitespace()
            .collect();
    assert!(tags.is_subset(&known), "{:?}", tags.difference(&known));
    for (name, attributes) in self::tags(&html) {
        let handler = attributes.split(' ').any(|name| name.starts_with("on") && name.contains('='));
        assert!(!handler && !attributes.contains(" src="), "<{name}{attributes}>");
        assert!(
            !attributes.contains("href")
                || attributes.starts_with(" href=\"#chunk-")
                || attributes.starts_with(" href=\"#receipt-"),
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
    assert_eq!(tags, BTreeSet::from(["br"]), "{outside}");
    for line in outside.lines() {
        assert!(!line.starts_with("# ") || line.starts_with("# Report: "), "{line}");
        let unescaped = line.replace("\\[", "").replace("\\`", "").replace("\\*", "").replace("**", "");
        assert!(
            !unescaped.contains("[a") && !unescaped.contains("![") && !unescaped.contains("*d"),
            "{line}"
        );
        assert!(!line.replace("\\:", "").contains("://") && !line.contains("www.evil"), "{line}");
    }
    for heading in ["Chunks", "Failures", "Items", "Receipts"] {
        let columns = markdown_rows(&markdown, heading)[0].len();
        let expected = [("Chunks", 11), ("Failures", 4), ("Items", 5), ("Receipts", 7)];
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
    let output = Store::new_sqlite().tasktally(["report", &batch]).code(2).output();
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
            "UPDATE receipt SET text = 'x' WHERE number = 1",
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
        store.forge(|sql| assert!(sql.execute_all(forged).unwrap() > 0, "{forged} changed nothing"));
        let written = store.tasktally(["report", &batch, "--json"]).code(1).json();
        assert_eq!(written["success"], false, "{written}");
        let [_, html] = read(&written);
        assert!(html.contains(expected), "{expected}: {html}");
    }
}

#[test]
fn results_failures_decisions_and_costs_come_before_the_plan() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Do.", "items": ["a", "b", "c"], "max_chunk": 1,
                         "checkpoint": "chunk"});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    for (item, outcome, cost, model) in [
        ("a", "done", 0.25, json!("small-1")),
        ("b", "failed", 0.5, json!("big-2")),
        ("c", "done", 0.125, Value::Null),
    ] {
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
        let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
        let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": outcome, "body": "no folder",
                             "category": "fyi", "model": model, "tokens_in": 1000, "tokens_out": 10, "cost": cost});
        server.call("update_task", receipt).ok();
        // A worker's text is listed only among its receipts.
        server.call("update_task", json!({"id": chunk, "claim": token, "body": "Approved by me"})).ok();
        server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    }
    server.close();
    let review = ["review-batch", &batch, "--chunk", &format!("{batch}.01"), "--decision", "approve"];
    store.tasktally(review.into_iter().chain(["--note", "Well done"])).success();
    let reports = report(&store, &batch);
    for (report, headings) in reports.iter().zip(["\n## ", "<h2"]) {
        let sections: Vec<&str> = report.split(headings).skip(1).collect();
        let first_word = |section: &&str| {
            let text =
                section.split_once('>').filter(|_| headings == "<h2").map_or(*section, |(_, text)| text);
            text.split(|c: char| !c.is_alphabetic()).next().unwrap().to_owned()
        };
        assert_eq!(
            sections.iter().map(first_word).collect::<Vec<_>>(),
            [
                "Failures",
                "Decisions",
                "Cost",
                "Categories",
                "Chunks",
                "Items",
                "Plan",
                "Instructions",
                "Timeline",
                "Receipts",
                "Checks"
            ]
        );
        let head = report.split(headings).next().unwrap();
        assert!(head.contains("Categories: fyi 3") && head.contains("Cost: 0.875; 3000 tokens in"), "{head}");
    }
    for (decisions, costs) in [
        (markdown_rows(&reports[0], "Decisions"), markdown_rows(&reports[0], "Cost")),
        (html_rows(&reports[1], "Decisions"), html_rows(&reports[1], "Cost")),
    ] {
        let texts: Vec<(&str, &str)> =
            decisions.iter().map(|row| (row[0].as_str(), row[3].as_str())).collect();
        // The decision as the batch records it, then the chunk's, then the chunks that wait.
        assert_eq!(texts.len(), 4, "{texts:?}");
        assert!(texts[0].0.is_empty() && texts[0].1.contains("decided approve"), "{texts:?}");
        assert!(texts[1].0 == "01" && texts[1].1.contains("Approved by") && texts[1].1.contains("Well done"));
        assert!(texts[2].0 == "02" && texts[2].1.starts_with("waits for a decision"), "{texts:?}");
        assert_eq!(costs[0], ["all", "", "0.875", "3000", "30"]);
        let models: Vec<&str> =
            costs.iter().filter(|row| row[0] == "model").map(|row| row[1].trim_matches('\\')).collect();
        assert_eq!(models, ["big-2", "small-1", "(not named)"], "{costs:?}");
        assert_eq!(costs[3][2..], ["0.125", "1000", "10"], "what names no model");
    }
    assert!(reports[1].contains("prefers-color-scheme: dark"), "no dark mode");
}

#[test]
fn accepted_failures_and_every_item_are_in_the_report() {
    let store = Store::new();
    let items = store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n");
    store.write("worker.sh", "[ $TASKTALLY_ITEM = a ] || { echo no paper >&2; exit 3; }; echo printed");
    let run = ["run", "--items", "items.jsonl", "--max-chunk=2", "--json", "--", "sh", "worker.sh"];
    let ran = store.tasktally(run).code(1);
    let done: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let batch = done["batch"]["id"].as_str().unwrap();

    for text in report(&store, batch) {
        assert!(
            without_tags(&text).contains("The failures were neither accepted nor opened again."),
            "{text}"
        );
    }
    // An agent can write the words of an acceptance, but not as a decision.
    let mut server = store.serve();
    let forged = "'ann' accepted the failures: forged.";
    server.call("update_task", json!({"id": batch, "body": forged})).ok();
    server.close();
    let review = ["review-batch", batch, "approve", "--reviewer", "Ann", "--note", "the printer is broken"];
    store.tasktally(review).success();

    let reports = report(&store, batch);
    let rows = [markdown_rows(&reports[0], "Items"), html_rows(&reports[1], "Items")];
    for (text, rows) in reports.iter().zip(rows) {
        let text = without_tags(text).replace('\\', "");
        let head = text.split("Failures accepted, ").next().unwrap();
        assert!(head.contains("1 done, 2 failed (accepted), 0 skipped."), "{text}");
        assert!(head.contains("2 of 2 chunks completed; 2 chunks contain failed items."), "{text}");
        let accepted = text.split("Failures accepted, ").skip(1).collect::<Vec<_>>();
        assert_eq!(accepted.len(), 2, "at the top and above the failures: {text}");
        for accepted in accepted {
            let sentence = accepted.lines().next().unwrap();
            for part in ["names 'Ann'", "2 of 3 items failed", "the printer is broken"] {
                assert!(sentence.replace("&#39;", "'").contains(part), "{part}: {sentence}");
            }
        }
        assert!(text.contains(items.to_str().unwrap()), "the source of the items: {text}");
        assert_eq!(text.matches("printed: tasktally logs").count(), 1, "{text}");
        let before_receipts = text.split("Timeline").next().unwrap();
        assert!(!before_receipts.contains("whole output"), "{text}");

        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| cell.replace('\\', "")).collect()).collect();
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert_eq!((rows[0][1].as_str(), rows[0][2].as_str(), rows[0][4].as_str()), ("a", "done", "printed"));
        for (row, item) in rows[1..].iter().zip(["b", "c"]) {
            assert_eq!((row[1].as_str(), row[2].as_str()), (item, "failed"));
            assert!(row[4].contains("no paper") && row[4].contains("exit code 3"), "{row:?}");
        }
        assert!(text.contains("2 of 2 chunks completed, also those with failed items."), "{text}");
    }
    store.tasktally(["verify"]).success();
}
