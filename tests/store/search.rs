//! Search in titles, initial texts and receipts.

use tasktally::model::search_text::words;
use tasktally::model::status::Status;
use tasktally::model::task::Task;
use tasktally::store::TaskFilter;

use crate::actions::titles;
use crate::build::{insert, new_task};
use crate::stores::{TestStore, conformance};

/// Brings the search index up to date. Stores may index texts some time after they are written.
fn update_index(store: &TestStore) {
    while !store.write(|tx| tx.update_search_index()).unwrap() {}
    assert!(store.read(|tx| tx.is_search_index_complete()).unwrap());
}

/// The titles of the tasks that a query finds.
fn search_in(store: &TestStore, query: &str, filter: TaskFilter, limit: usize) -> Vec<String> {
    update_index(store);
    let words = words(query);
    store.read(move |tx| Ok(titles(&tx.search(&words, &filter, limit)?))).unwrap()
}

/// The same in the whole store, in the order of the titles.
fn search(store: &TestStore, query: &str) -> Vec<String> {
    let mut found = search_in(store, query, TaskFilter::default(), 100);
    found.sort();
    found
}

conformance! {
    fn an_empty_store_is_searched(store: &TestStore) {
        assert!(search(store, "mail").is_empty());
    }

    fn a_task_is_found_by_its_title_its_text_and_its_receipts(store: &TestStore) {
        store.task("mail in title");
        store.write(|tx| insert(tx, &new_task("in text"), "the mail of November")).unwrap();
        let row = store.task("in receipt").row;
        store.report(row, "sorted the mail");
        store.task("elsewhere");
        assert_eq!(search(store, "mail"), ["in receipt", "in text", "mail in title"]);
    }

    fn a_task_is_found_once(store: &TestStore) {
        let row = store.write(|tx| insert(tx, &new_task("mail"), "mail mail")).unwrap().row;
        store.report(row, "mail");
        store.report(row, "more mail");
        assert_eq!(search(store, "mail"), ["mail"]);
    }

    fn all_words_must_be_found(store: &TestStore) {
        store.task("red mail");
        store.task("red");
        store.task("mail");
        assert_eq!(search(store, "mail red"), ["red mail"]);
    }

    fn words_are_found_by_their_start(store: &TestStore) {
        store.task("archive");
        store.task("the archives");
        store.task("anarchive");
        assert_eq!(search(store, "archiv"), ["archive", "the archives"]);
    }

    fn case_and_accents_do_not_matter(store: &TestStore) {
        store.task("Ärger mit CAFÉ");
        assert_eq!(search(store, "arger"), ["Ärger mit CAFÉ"]);
        assert_eq!(search(store, "CAFE ärger"), ["Ärger mit CAFÉ"]);
    }

    fn words_without_spaces_between_them_are_found(store: &TestStore) {
        store.task("今日は東京都に行く");
        assert_eq!(search(store, "東京").len(), 1);
        assert!(search(store, "京東").is_empty());
    }

    fn signs_of_a_query_language_have_no_meaning(store: &TestStore) {
        store.task("a plain title");
        for query in ["plain OR none", "NOT plain", "pl*n", "plain:none", "none | plain", "!plain & none"] {
            let found = search(store, query);
            assert!(found.is_empty(), "{query}: {found:?}");
        }
        assert_eq!(search(store, "\"plain\" (title)"), ["a plain title"]);
    }

    fn a_search_is_limited_to_a_project_or_a_status(store: &TestStore) {
        store.add(Task { project: Some("p".to_owned()), ..new_task("mail in p") });
        store.add(Task { status: Status::Done, ..new_task("mail done") });
        let in_p = TaskFilter { project: Some("p".to_owned()), ..TaskFilter::default() };
        assert_eq!(search_in(store, "mail", in_p.clone(), 10), ["mail in p"]);
        let done = TaskFilter::default().with_status(Status::Done);
        assert_eq!(search_in(store, "mail", done, 10), ["mail done"]);
        assert!(search_in(store, "mail", in_p.with_status(Status::Done), 10).is_empty());
    }

    fn a_search_finds_at_most_the_given_number(store: &TestStore) {
        for title in ["mail a", "mail b", "mail c"] {
            store.task(title);
        }
        assert_eq!(search_in(store, "mail", TaskFilter::default(), 2).len(), 2);
    }

    fn the_best_match_comes_first(store: &TestStore) {
        let long = "other words ".repeat(100);
        store.write(move |tx| insert(tx, &new_task("weak"), &format!("{long} mail"))).unwrap();
        store.task("mail");
        assert_eq!(search_in(store, "mail", TaskFilter::default(), 10), ["mail", "weak"]);
    }

    fn a_new_title_replaces_the_old_one(store: &TestStore) {
        let before = store.task("letters");
        update_index(store);
        let after = Task { title: "parcels".to_owned(), ..before.clone() };
        store.write(move |tx| tx.update_fields(&before, &after)).unwrap();
        assert!(search(store, "letters").is_empty());
        assert_eq!(search(store, "parcels"), ["parcels"]);
    }

    fn a_title_that_changes_before_it_is_indexed_is_found(store: &TestStore) {
        let before = store.task("letters");
        let after = Task { title: "parcels".to_owned(), ..before.clone() };
        store.write(move |tx| tx.update_fields(&before, &after)).unwrap();
        assert!(search(store, "letters").is_empty());
        assert_eq!(search(store, "parcels"), ["parcels"]);
    }

    fn a_rolled_back_text_is_not_found(store: &TestStore) {
        store
            .write_and_roll_back(|tx| {
                insert(tx, &new_task("mail"), "")?;
                tx.update_search_index()
            })
            .unwrap();
        assert!(search(store, "mail").is_empty());
    }

    fn very_many_matches_are_found_newest_first(store: &TestStore) {
        store
            .write(|tx| {
                (0..1_200).try_for_each(|number| {
                    insert(tx, &new_task(&format!("mail {number:04}")), "").map(|_| ())
                })
            })
            .unwrap();
        let found = search_in(store, "mail", TaskFilter::default(), 3);
        assert_eq!(found, ["mail 1199", "mail 1198", "mail 1197"]);
    }
}
