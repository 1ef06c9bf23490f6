//! Resources that chunks touch, and chunks that exclude each other because they share one.

use tasktally::model::status::Status;
use tasktally::model::task::RowId;
use tasktally::store::TaskFilter;

use crate::build::{BatchPlan, BuiltBatch};
use crate::stores::{TestStore, conformance};

/// A block of resources with the chunks that touch each.
fn block(entries: &[(&str, &[RowId])]) -> Vec<(String, Vec<RowId>)> {
    entries.iter().map(|(key, chunks)| ((*key).to_owned(), chunks.to_vec())).collect()
}

/// Stores a block of a layer.
fn insert_block(store: &TestStore, batch: RowId, layer: u64, entries: &[(&str, &[RowId])]) {
    let block = block(entries);
    store.write(move |tx| tx.insert_resource_block(batch, layer, &block)).unwrap();
}

/// The keys of the block that contains the first resource at or after a key.
fn keys_from(store: &TestStore, batch: RowId, layer: u64, key: &'static str) -> Vec<String> {
    let found = store.read(move |tx| tx.resource_block(batch, layer, key)).unwrap();
    found.into_iter().map(|(key, _)| key).collect()
}

/// Records that a chunk shares a resource.
fn share(store: &TestStore, chunk: RowId, project: Option<&'static str>, key: &'static str, below: bool) {
    store.write(move |tx| tx.add_shared_resource(chunk, project, key, below)).unwrap();
}

/// The chunk in progress that excludes a chunk, and the resource that both touch.
fn in_use(store: &TestStore, chunk: RowId) -> Option<(RowId, String)> {
    let found = store.read(move |tx| tx.resource_in_use(chunk)).unwrap();
    found.map(|found| (found.chunk, found.resource))
}

/// The chunks that can be claimed without a conflict, and their number.
fn free(store: &TestStore, batch: &BuiltBatch) -> Vec<String> {
    let filter = TaskFilter { ready: true, without_conflicts: true, ..TaskFilter::children_of(batch.row()) };
    let counted = TaskFilter { parent: None, task_type: Some(batch.chunks[0].task_type), ..filter.clone() };
    let found = store.list(filter);
    let total = store.read(move |tx| tx.count_tasks(&counted)).unwrap();
    assert_eq!((total.count, total.at_least), (found.len() as u64, false));
    found
}

conformance! {
    fn a_block_is_read_as_it_was_stored(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (row, first, second) = (batch.row(), batch.chunk(1), batch.chunk(2));
        let keys = [".\u{1}a b\u{1}", ".\u{1}a b\u{1}ü 'x'\u{1}", "/\u{1}"];
        let entries: [(&str, &[RowId]); 3] =
            [(keys[0], &[first, second]), (keys[1], &[second]), (keys[2], &[first])];
        insert_block(store, row, 0, &entries);
        store.reopen();
        assert_eq!(store.read(move |tx| tx.resource_block(row, 0, "")).unwrap(), block(&entries));
    }

    fn the_block_with_the_first_resource_at_or_after_a_key_is_read(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        insert_block(store, row, 0, &[("b", &[chunk]), ("d", &[chunk])]);
        insert_block(store, row, 0, &[("f", &[chunk]), ("h", &[chunk])]);
        for (key, expected) in
            [("", "b"), ("b", "b"), ("c", "b"), ("d", "b"), ("d\u{1}", "f"), ("g", "f"), ("h", "f")]
        {
            assert_eq!(keys_from(store, row, 0, key).first().map(String::as_str), Some(expected), "{key}");
        }
        assert!(keys_from(store, row, 0, "i").is_empty());
        assert!(keys_from(store, row, 1, "").is_empty());
    }

    fn keys_of_resources_are_ordered_by_their_bytes(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        insert_block(store, row, 0, &[("B", &[chunk]), ("Z", &[chunk])]);
        insert_block(store, row, 0, &[("_", &[chunk]), ("a", &[chunk])]);
        insert_block(store, row, 0, &[("b", &[chunk]), ("ä", &[chunk])]);
        assert_eq!(keys_from(store, row, 0, "C"), ["B", "Z"]);
        assert_eq!(keys_from(store, row, 0, "["), ["_", "a"]);
        assert_eq!(keys_from(store, row, 0, "z"), ["b", "ä"]);
    }

    fn layers_are_counted_and_deleted(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let other = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        let layers = || store.read(move |tx| tx.count_resource_layers(row)).unwrap();
        assert_eq!(layers(), 0);
        insert_block(store, row, 0, &[("a", &[chunk])]);
        insert_block(store, row, 0, &[("b", &[chunk])]);
        insert_block(store, row, 1, &[("a", &[chunk])]);
        insert_block(store, other.row(), 2, &[("a", &[other.chunk(1)])]);
        assert_eq!(layers(), 2);
        store.write(move |tx| tx.delete_resource_layer(row, 1)).unwrap();
        assert_eq!(layers(), 1);
        assert!(keys_from(store, row, 1, "").is_empty());
        assert_eq!(keys_from(store, row, 0, ""), ["a"]);
        assert_eq!(keys_from(store, other.row(), 2, ""), ["a"]);
    }

    fn a_chunk_in_progress_excludes_chunks_that_share_its_resource(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        let (first, second) = (batch.chunk(1), batch.chunk(2));
        share(store, first, None, "a", false);
        share(store, second, None, "a", false);
        assert_eq!(in_use(store, second), None);
        assert_eq!(free(store, &batch), ["chunk 1", "chunk 2", "chunk 3"]);
        store.claim(first, "w", 60);
        assert_eq!(in_use(store, second), Some((first, "a".to_owned())));
        assert_eq!(in_use(store, batch.chunk(3)), None);
        assert_eq!(free(store, &batch), ["chunk 3"]);
        // A chunk does not exclude itself.
        assert_eq!(in_use(store, first), None);
    }

    fn a_resource_is_free_when_its_chunk_is_no_longer_in_progress(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (first, second) = (batch.chunk(1), batch.chunk(2));
        for chunk in [first, second] {
            share(store, chunk, None, "a", false);
            share(store, chunk, None, "b", false);
        }
        for status in [Status::Active, Status::Review, Status::Blocked] {
            store.claim(first, "w", 60);
            assert_eq!(in_use(store, second).map(|found| found.0), Some(first), "{status}");
            store.set_status(first, status);
            assert_eq!(in_use(store, second), None, "{status}");
        }
    }

    fn a_second_claim_keeps_the_resource_in_use(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (first, second) = (batch.chunk(1), batch.chunk(2));
        share(store, first, None, "a", false);
        share(store, second, None, "a", false);
        store.claim(first, "one", 60);
        store.claim(first, "two", 60);
        assert_eq!(in_use(store, second), Some((first, "a".to_owned())));
        store.end_chunk(first, Status::Done);
        assert_eq!(in_use(store, second), None);
    }

    fn chunks_below_a_resource_exclude_only_those_that_touch_the_whole(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        let (below, also_below, whole) = (batch.chunk(1), batch.chunk(2), batch.chunk(3));
        share(store, below, None, "a", true);
        share(store, also_below, None, "a", true);
        share(store, whole, None, "a", false);
        store.claim(below, "w", 60);
        assert_eq!(in_use(store, also_below), None);
        assert_eq!(in_use(store, whole), Some((below, "a".to_owned())));
        assert_eq!(free(store, &batch), ["chunk 2"]);
        store.set_status(below, Status::Active);
        store.claim(whole, "w", 60);
        assert_eq!(in_use(store, below), Some((whole, "a".to_owned())));
        assert!(free(store, &batch).is_empty());
    }

    fn a_chunk_that_touches_the_whole_and_a_part_touches_the_whole(store: &TestStore) {
        for order in [[true, false], [false, true]] {
            let batch = store.batch(BatchPlan::of(2, 1));
            let (first, second) = (batch.chunk(1), batch.chunk(2));
            order.into_iter().for_each(|below| share(store, first, None, "a", below));
            share(store, second, None, "a", true);
            store.claim(second, "w", 60);
            assert_eq!(in_use(store, first), Some((second, "a".to_owned())), "{order:?}");
            store.set_status(second, Status::Active);
        }
    }

    fn the_same_key_of_another_project_is_another_resource(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        let (first, second, third) = (batch.chunk(1), batch.chunk(2), batch.chunk(3));
        share(store, first, Some("p"), "a", false);
        share(store, second, Some("q"), "a", false);
        share(store, third, None, "a", false);
        store.claim(first, "w", 60);
        assert_eq!((in_use(store, second), in_use(store, third)), (None, None));
    }

    fn a_resource_of_a_chunk_in_progress_is_in_use_at_once(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (first, second) = (batch.chunk(1), batch.chunk(2));
        share(store, second, None, "a", false);
        store.write(move |tx| tx.add_shared_resource_of_stored_chunk(first, None, "a", true)).unwrap();
        assert_eq!(in_use(store, second), None);
        store.claim(first, "w", 60);
        assert_eq!(in_use(store, second), Some((first, "a".to_owned())));
        share(store, second, None, "b", true);
        store.write(move |tx| tx.add_shared_resource_of_stored_chunk(first, None, "b", true)).unwrap();
        assert_eq!(in_use(store, second).map(|found| found.1), Some("a".to_owned()));
        store.write(move |tx| tx.add_shared_resource_of_stored_chunk(first, None, "b", false)).unwrap();
        store.end_chunk(first, Status::Done);
        assert_eq!(in_use(store, second), None);
    }

    fn running_batches_are_those_of_exactly_one_project(store: &TestStore) {
        let in_p = store.batch(BatchPlan::of(1, 1).in_project("p"));
        let without = store.batch(BatchPlan::of(1, 1));
        let ended = store.batch(BatchPlan::of(1, 1).in_project("p"));
        store.set_status(ended.row(), Status::Done);
        store.claim(in_p.chunk(1), "w", 60);
        let running =
            |project: Option<&'static str>| store.read(move |tx| tx.running_batches(project)).unwrap();
        assert_eq!(running(Some("p")), [in_p.row()]);
        assert_eq!(running(None), [without.row()]);
        assert!(running(Some("q")).is_empty());
    }

    fn changed_chunks_are_found_with_their_status(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        let since = store.latest_change();
        store.task("no chunk");
        store.report(batch.row(), "no chunk");
        store.claim(batch.chunk(2), "w", 60);
        store.report(batch.chunk(1), "changed");
        let mut found = store.read(move |tx| tx.chunks_changed_since(since)).unwrap();
        found.sort_by_key(|(row, _)| *row);
        assert_eq!(found, [(batch.chunk(1), Status::Active), (batch.chunk(2), Status::InProgress)]);
        let since = store.latest_change();
        assert!(store.read(move |tx| tx.chunks_changed_since(since)).unwrap().is_empty());
    }
}
