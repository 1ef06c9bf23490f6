//! Full-text search over titles, initial texts and receipts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

mod support;
use support::store::Store;

#[test]
fn words_are_found_in_titles_initial_texts_and_receipts() {
    let store = Store::new();
    let mut server = store.serve();
    let by_title = server.create_task("Archive the zebra mail");
    let by_receipt = server.create_task("Something else");
    server.call("update_task", json!({"id": by_receipt, "body": "- met a Zebra"})).ok();
    let by_opening = server
        .call("create_task", json!({"task_title": "Third", "body": "zebras here"}))
        .ok()
        .text("/task/id");
    let found = server.call("search_tasks", json!({"query": "zebra"})).ok();
    let ids: Vec<_> = (0..3).map(|n| found.text(&format!("/tasks/{n}/id"))).collect();
    assert_eq!(found.count("/count"), 3, "{}", found.value);
    assert_eq!(ids[0], by_title, "the title does not rank first");
    assert!(ids.contains(&by_receipt) && ids.contains(&by_opening), "{}", found.value);
    assert_eq!(server.call("search_tasks", json!({"query": "\"OR zebra AND"})).ok().count("/count"), 0);
}

#[test]
fn a_changed_title_is_found_only_by_its_new_words() {
    let store = Store::new();
    let mut server = store.serve();
    let (indexed, waiting) = (server.create_task("Walrus"), server.create_task("Penguin"));
    let mut count = |words: &str| server.call("search_tasks", json!({"query": words})).ok().count("/count");
    assert_eq!((count("walrus"), count("wal")), (1, 1), "the word or its prefix is not found");
    let fresh = store.serve().create_task("Walrus too");
    let mut server = store.serve();
    for id in [&indexed, &waiting, &fresh] {
        server.call("update_task", json!({"id": id, "task_title": "Seal"})).ok();
    }
    let mut count = |words: &str| server.call("search_tasks", json!({"query": words})).ok().count("/count");
    assert_eq!((count("walrus"), count("penguin"), count("seal")), (0, 0, 3));
}

#[test]
fn results_for_a_very_common_word_are_newest_first() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<_> = (0..1_500).map(|n| format!("k{n}")).collect();
    server
        .call("create_batch", json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1}))
        .ok();
    let last = server.create_task("Item of mine");
    let found = server.call("search_tasks", json!({"query": "item", "limit": 5})).ok();
    assert_eq!(found.count("/count"), 5, "{}", found.value);
    assert_eq!(found.text("/tasks/0/id"), last);
    let done = server.call("search_tasks", json!({"query": "item", "status": "done"})).ok();
    assert_eq!(done.count("/count"), 0, "{}", done.value);
}

/// Asserts which queries find a task with this text, as its title and as a receipt of another task.
#[track_caller]
fn check(text: &str, found: &[&str], not_found: &[&str]) {
    let store = Store::new();
    let mut server = store.serve();
    let titled = server.create_task(text);
    let other = server.create_task("Other");
    server.call("update_task", json!({"id": other, "body": format!("- {text}")})).ok();
    for query in found {
        let reply = server.call("search_tasks", json!({"query": query})).ok();
        assert_eq!(reply.count("/count"), 2, "{query} in {text}: {}", reply.value);
        let tasks = reply.value["tasks"].as_array().unwrap();
        assert!(tasks.iter().any(|task| task["id"] == titled && task["title"] == text), "{}", reply.value);
    }
    for query in not_found {
        let reply = server.call("search_tasks", json!({"query": query})).ok();
        assert_eq!(reply.count("/count"), 0, "{query} in {text}: {}", reply.value);
    }
}

#[test]
fn parts_of_texts_without_spaces_are_found() {
    check("升级数据库迁移脚本", &["数据库", "库", "升级 脚本", "迁移脚本"], &["据数", "数库"]);
    check("导入API数据库v2", &["API数据库v2", "api", "数据库v2", "v2", "数据库v"], &["API库"]);
    check("データベースを移行", &["ベース", "ﾃﾞｰﾀ", "移行", "データ"], &["テータ", "ヘース"]);
    check("ばらの花", &["ばら", "は\u{3099}ら"], &["はら"]);
    check("서울특별시에서", &["서울", "특별시", "별", "\u{1109}\u{1165}울"], &["울서"]);
    check("ซ่อมถนนหน้าโรงเรียน", &["ซ่อม", "ถนน", "โรงเรียน", "หน้าโรง"], &["เรือน"]);
}

#[test]
fn forms_of_the_same_letters_are_found_by_each_other() {
    check("Déjà-vu Café", &["deja", "DÉJÀ vu", "cafe\u{301}", "Ｃａｆé"], &["caff"]);
    check("De\u{301}ja\u{300}", &["déjà", "deja"], &[]);
    check("ﬁle Straße", &["file", "STRASSE", "straße", "ﬁ"], &["strase"]);
    check("İstanbul", &["istanbul", "ISTANBUL", "ıstanbul", "İSTANBUL"], &[]);
    check("Мой счёт", &["мой", "МОЙ", "мои\u{306}", "счет", "СЧЁТ"], &["мои"]);
    check("किताब की सूची", &["किताब", "सूची", "कि"], &["कताब", "सच"]);
    check("كِتَاب جديد", &["كتاب"], &["كتب"]);
    check("Łódź", &["lodz", "LODZ"], &[]);
    check("deploy 🚀👍🏽", &["🚀", "👍", "deploy🚀"], &["🐌"]);
}

#[test]
fn operators_in_a_query_are_separators_or_words() {
    let store = Store::new();
    let mut server = store.serve();
    server.create_task("alpha and beta near gamma or delta not title");
    for query in [
        "alpha AND beta",
        "\"alpha beta",
        "alpha*",
        "-alpha",
        "title:alpha",
        "NEAR(alpha beta, 2)",
        "alpha OR delta",
        "NOT alpha",
        "^alpha",
        "{title} : alpha",
        "alpha + beta",
        "(alpha",
        "alpha)",
        "'alpha'",
        "alpha;--",
        "\u{201C}alpha\u{201D}",
        "alpha\u{200B}beta",
        "al\u{AD}pha",
    ] {
        let reply = server.call("search_tasks", json!({"query": query}));
        let expected = u64::from(!query.contains('2'));
        assert_eq!(reply.ok().count("/count"), expected, "{query}");
    }
    for query in ["*", "\"", "\"\"", "- : ^ ( )", "。、", "\u{301}", "\u{200B}"] {
        let reply = server.call("search_tasks", json!({"query": query}));
        reply.refusal();
        assert!(reply.message().contains("contains no word"), "{query}: {}", reply.value);
    }
}
