//! Large reports: the pages beside the first one.

use super::*;

const ITEMS: u64 = 200_000;

/// Writes a batch of 200,000 items in 20 chunks, each with a receipt, directly into the tables. Returns its id.
fn create_large_batch(store: &Store) -> String {
    let lines: String = (0..ITEMS).map(|n| format!("{{\"key\":\"mail-{n:06}\"}}\n")).collect();
    store.write("items.jsonl", lines);
    let args =
        ["create-batch", "Large", "--instructions", "Do.", "--source", "items.jsonl", "--max-chunk", "10000"];
    let plan = store.tasktally(args.into_iter().chain(["--json"])).success().json();
    let batch = plan["batch"]["id"].as_str().unwrap().to_owned();
    let sql = store.sql();
    sql.execute_all("BEGIN").unwrap();
    for chunk in plan["chunks"].as_array().unwrap() {
        let (id, items) = (chunk["id"].as_str().unwrap(), chunk["items"].as_u64().unwrap());
        let row: i64 = sql.row("SELECT row_id FROM task WHERE id = ?1", &[&id]);
        let mut before = GENESIS_HASH;
        let insert = "INSERT INTO receipt (task, number, created_at, author, text, late, hash)
            VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)";
        for number in 1..=items {
            let receipt = Receipt {
                number,
                at: Timestamp::from_millis(1_700_000_000_000 + number as i64),
                author: "polecat".into(),
                author_kind: None,
                text: format!("- Archived {number}: {}", "a subject ".repeat(20)),
                item: None,
                outcome: None,
                category: None,
                late: false,
                step: None,
                cost: Cost::default(),
                decision: None,
            };
            before = receipt.hash(id, &before);
            let at = receipt.at.millis();
            sql.execute(insert, &[&row, &number, &at, &receipt.author, &receipt.text, &before]).unwrap();
        }
    }
    sql.execute_all("COMMIT").unwrap();
    batch
}

#[test]
#[cfg(target_os = "linux")]
fn the_report_of_two_hundred_thousand_items_uses_little_memory_and_has_small_pages() {
    let store = Store::new();
    let batch = create_large_batch(&store);
    let started = std::time::Instant::now();
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
    let elapsed = started.elapsed();
    let out = folder(&store, &batch);
    let pages = page_folder(&out).expect("pages");
    let len = |path: &Path| fs::metadata(path).unwrap().len();
    let sizes: Vec<u64> = fs::read_dir(&pages).unwrap().map(|entry| len(&entry.unwrap().path())).collect();
    let first = ["report.html", "report.md"].map(|name| len(&out.join(name)));
    println!(
        "{ITEMS} receipts: {} files with {} MB, the largest {} kB; first pages {first:?} bytes; {max_kib} KiB at most; {elapsed:?}",
        sizes.len(),
        sizes.iter().sum::<u64>() / 1_000_000,
        sizes.iter().max().unwrap() / 1_000
    );
    assert!(first.iter().all(|size| *size < 500_000), "{first:?}");
    assert!(sizes.iter().all(|size| *size < 300_000), "a page is too large");
    assert!(sizes.iter().sum::<u64>() > 100_000_000, "receipts are missing");
    assert!(max_kib > 0 && max_kib < 64 * 1024, "{max_kib} KiB");
}

/// The files that a file of the report links to, with the ids in them.
fn links(text: &str, is_html: bool) -> Vec<(String, String)> {
    let targets: Vec<&str> = if is_html {
        text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    } else {
        text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect()
    };
    let split = |target: &str| {
        let (file, id) = target.split_once('#').unwrap_or((target, ""));
        (file.to_owned(), id.to_owned())
    };
    targets.into_iter().map(split).collect()
}

/// Checks that each link of each file leads to a file that exists, and to an id in it.
fn check_links(out: &Path) {
    let in_pages =
        page_folder(out).map(|pages| fs::read_dir(pages).unwrap().map(|entry| entry.unwrap().path()));
    let first = [out.join("report.html"), out.join("report.md")];
    for file in first.into_iter().chain(in_pages.into_iter().flatten()) {
        let is_html = file.extension().unwrap() == "html";
        let text = fs::read_to_string(&file).unwrap();
        // The text of a link that was escaped is no link.
        let is_link = |(target, _): &(String, String)| is_html || target.ends_with(".md");
        for (target, id) in links(&text, is_html).into_iter().filter(is_link) {
            let path = if target.is_empty() { file.clone() } else { file.parent().unwrap().join(&target) };
            assert_eq!(path.extension(), file.extension(), "{target}");
            let there =
                fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} leads to {target}", file.display()));
            assert!(
                id.is_empty() || there.contains(&format!("id=\"{id}\"")),
                "{}: {target}#{id}",
                file.display()
            );
        }
    }
}

#[test]
fn a_large_report_has_linked_pages_and_the_next_one_replaces_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let store = Store::new();
    let mut server = store.serve();
    let keys: Vec<String> = (0..300).map(|number| format!("item-{number}")).collect();
    let long = format!("{HOSTILE} {}\n", "a line of instructions ".repeat(40));
    let request =
        json!({"title": HOSTILE, "instructions": long.repeat(100), "items": keys, "max_chunk": 100});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    for _ in 0..3 {
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
        let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
        let brief = server.call("get_task", json!({"id": chunk})).ok();
        let number = brief.text("/task/id");
        let first = (number.rsplit('.').next().unwrap().parse::<usize>().unwrap() - 1) * 100;
        for key in &keys[first..first + 100] {
            let text = format!("{key} {HOSTILE} {}", "x".repeat(3_000));
            let receipt =
                json!({"id": chunk, "claim": token, "item": key, "outcome": "failed", "body": text});
            server.call("update_task", receipt).ok();
        }
        server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    }
    let small =
        server.call("create_batch", json!({"title": "Small", "instructions": "Do.", "items": ["a"]})).ok();
    server.close();
    let out = store.folder().join("out");
    // What an interrupted report left, and a folder that only looks like it.
    let left =
        [out.join("report-pages-abc123"), out.join("report-pages-mine12"), out.join("report-pages-notes")];
    for folder in &left {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("receipts-0001.html"), "left").unwrap();
    }
    fs::write(left[1].join("notes.txt"), "mine").unwrap();
    let write = |batch: &str| store.tasktally(["report", batch, "--out", "out", "--json"]).success().json();
    write(&batch);
    assert!(!left[0].exists() && left[2].join("receipts-0001.html").exists());
    assert_eq!(
        fs::read_dir(&left[1]).unwrap().count(),
        1,
        "a file of the user's was removed, or a page was kept"
    );
    fs::remove_dir_all(&left[1]).unwrap();
    fs::remove_dir_all(&left[2]).unwrap();
    let written = write(&batch);
    let folder = page_folder(&out).expect("pages");
    assert_eq!(written["pages_folder"], folder.to_str().unwrap());
    let files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len() as u64, written["pages"].as_u64().unwrap() * 2, "{written}");
    check_links(&out);
    for (section, rows) in [("receipts", 300), ("failures", 300)] {
        let pages = pages(&folder, section, "html");
        assert!(pages.len() > 1 || section == "failures", "{section}");
        let found: Vec<_> = pages.iter().flat_map(|page| html_table_rows(page)).collect();
        assert!(found.len() >= rows, "{section}: {}", found.len());
        for (number, page) in pages.iter().enumerate() {
            assert_eq!(page.contains("Previous page"), number > 0);
            assert_eq!(page.contains("Next page"), number + 1 < pages.len());
        }
    }
    assert!(!pages(&folder, "instructions", "md").is_empty(), "long instructions have pages of their own");
    for file in files.iter().chain([&out.join("report.html"), &out.join("report.md")]) {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.len() < 300_000, "{} has {} bytes", file.display(), text.len());
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        assert!(!text.contains("<script") && !text.contains("<img") || file.extension().unwrap() == "md");
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    // A report without pages leaves none of the last one.
    write(&small.text("/batch/id"));
    assert_eq!(page_folder(&out), None);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
    check_links(&out);
}
