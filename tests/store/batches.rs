//! Batches: their rules, their lists and what is set in them.

use tasktally::model::batch::Batch;
use tasktally::model::conflict::OnConflict;
use tasktally::model::in_doubt::InDoubtPolicy;
use tasktally::model::max_failures::MaxFailures;
use tasktally::model::run_record::{CommandLimits, RunRecord, StepCommand};
use tasktally::model::status::{Outcome, Status};
use tasktally::model::step::{Checkpoint, Reviewers};
use tasktally::model::text::LineText;

use crate::actions::titles;
use crate::build::{BatchPlan, steps};
use crate::stores::{TestStore, conformance};

/// A batch whose every rule differs from the default.
fn full_batch() -> Batch {
    let run = RunRecord {
        command: vec!["sort".to_owned(), "--by \"date\"".to_owned()],
        steps: vec![StepCommand { step: "two".to_owned(), command: vec!["check".to_owned()] }],
        folder: Some("/home/ü".to_owned()),
        source: Some("/items.jsonl".to_owned()),
        is_imported: true,
        limits: CommandLimits { timeout_ms: Some(5), retries: Some(2), delay_ms: None },
    };
    Batch {
        instructions: "sort\neach mail".to_owned(),
        key_field: "message id".to_owned(),
        split: "month:date".to_owned(),
        max_chunk: 10_000,
        max_parallel: 64,
        max_attempts: 100,
        run: Some(run),
        steps: steps(&["one", "two"]),
        checkpoint: Checkpoint::Step,
        review: Reviewers::Person,
        auto_approve_after: Some(3),
        max_failures: Some(MaxFailures::Percent(5)),
        in_doubt: InDoubtPolicy::Ask,
        profile: Some("fast".to_owned()),
        on_conflict: Some(OnConflict::Serialize),
        resources: vec![LineText::known("path"), LineText::known("ü")],
        ..BatchPlan::of(1, 0).batch
    }
}

conformance! {
    fn every_rule_of_a_batch_is_stored(store: &TestStore) {
        let finish = store.task("finish").row;
        let mut plan = BatchPlan::of(2, 3);
        plan.batch = Batch { finish_row: Some(finish), ..full_batch() };
        let row = store.batch(plan.clone()).row();
        store.reopen();
        assert_eq!(store.get_batch(row), plan.batch_in(row));
    }

    fn the_rules_that_are_not_set_stay_so(store: &TestStore) {
        let mut plan = BatchPlan::of(1, 1);
        plan.batch.on_conflict = None;
        let row = store.batch(plan.clone()).row();
        assert_eq!(store.get_batch(row), plan.batch_in(row));
    }

    fn every_word_of_a_rule_is_stored(store: &TestStore) {
        for (index, checkpoint) in Checkpoint::ALL.iter().enumerate() {
            let mut plan = BatchPlan::of(1, 0);
            plan.batch.checkpoint = *checkpoint;
            plan.batch.in_doubt = InDoubtPolicy::ALL[index];
            plan.batch.on_conflict = Some(OnConflict::ALL[index]);
            plan.batch.max_failures = Some(MaxFailures::Items(index as u64));
            let row = store.batch(plan.clone()).row();
            assert_eq!(store.get_batch(row), plan.batch_in(row));
        }
    }

    fn a_task_that_is_no_batch_has_none(store: &TestStore) {
        let task = store.task("task").row;
        let chunk = store.batch(BatchPlan::of(1, 1)).chunk(1);
        for row in [task, chunk, chunk + 100] {
            assert_eq!(store.read(move |tx| tx.batch(row)).unwrap(), None);
        }
    }

    fn values_of_a_batch_can_be_set(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let other = store.batch(BatchPlan::of(1, 1));
        let row = batch.row();
        let before = store.get_batch(row);
        store
            .write(move |tx| {
                tx.set_accepted_failures(row, 2)?;
                tx.set_max_parallel(row, 9)?;
                tx.set_approvals_in_a_row(row, 4)?;
                tx.set_worker_profile(row, "slow")
            })
            .unwrap();
        let expected = Batch {
            accepted_failures: 2,
            max_parallel: 9,
            approved_in_a_row: 4,
            profile: Some("slow".to_owned()),
            ..before
        };
        assert_eq!(store.get_batch(row), expected);
        assert_eq!(store.get_batch(other.row()).max_parallel, 4);
    }

    fn more_chunks_and_items_are_added_to_the_counts(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 2)).row();
        let grown = store.write_and_roll_back(move |tx| {
            tx.grow_batch(row, 2, 5)?;
            tx.batch(row)
        });
        let grown = grown.unwrap().unwrap();
        assert_eq!((grown.chunk_count, grown.counts.total), (3, 7));
    }

    fn all_batches_are_listed_newest_first(store: &TestStore) {
        for (title, project) in [("a", "p"), ("b", "q"), ("c", "p")] {
            store.batch(BatchPlan::of(1, 1).titled(title).in_project(project));
        }
        store.task("no batch");
        let list = |project: Option<&'static str>, after, limit| {
            store.read(move |tx| tx.batches(project, after, limit)).unwrap()
        };
        let all = list(None, None, 10);
        assert_eq!(titles(&all), ["c", "b", "a"]);
        assert_eq!(titles(&list(None, None, 2)), ["c", "b"]);
        assert_eq!(titles(&list(None, Some(all[0].row), 10)), ["b", "a"]);
        assert_eq!(titles(&list(Some("p"), None, 10)), ["c", "a"]);
        assert_eq!(titles(&list(Some("p"), Some(all[0].row), 10)), ["a"]);
    }

    fn all_batches_are_counted(store: &TestStore) {
        let count = |project: Option<&'static str>| store.read(move |tx| tx.count_batches(project)).unwrap();
        assert_eq!(count(None), 0);
        store.batch(BatchPlan::of(1, 1).in_project("p"));
        let done = store.batch(BatchPlan::of(1, 1));
        store.end_chunk(done.chunk(1), Status::Done);
        assert_eq!((count(None), count(Some("p")), count(Some("q"))), (2, 1, 0));
    }

    fn open_batches_have_a_chunk_that_has_not_ended(store: &TestStore) {
        let plan = |title: &str| BatchPlan::of(2, 1).titled(title).in_project("p");
        let made = ["open", "half", "ended", "cancelled"].map(|title| store.batch(plan(title)));
        store.end_chunk(made[1].chunk(1), Status::Failed);
        store.end_chunk(made[2].chunk(1), Status::Failed);
        store.end_chunk(made[2].chunk(2), Status::Done);
        store.set_status(made[3].row(), Status::Cancelled);
        let open = |project: Option<&'static str>, limit| {
            store.read(move |tx| Ok(titles(&tx.open_batches(project, limit)?))).unwrap()
        };
        assert_eq!(open(None, 10), ["half", "open"]);
        assert_eq!(open(Some("p"), 1), ["half"]);
        assert!(open(Some("q"), 10).is_empty());
    }

    fn failed_batches_have_failures_that_nobody_accepted(store: &TestStore) {
        let plan = |title: &str| BatchPlan::of(1, 1).titled(title).in_project("p");
        let made =
            ["item", "chunk", "done", "accepted", "open", "cancelled"].map(|title| store.batch(plan(title)));
        for index in [0, 3, 4, 5] {
            store.settle(made[index].chunk(1), "1.1", Outcome::Failed);
        }
        for index in [0, 2, 3, 5] {
            store.end_chunk(made[index].chunk(1), Status::Done);
        }
        store.end_chunk(made[1].chunk(1), Status::Failed);
        let accepted = made[3].row();
        store.write(move |tx| tx.set_accepted_failures(accepted, 1)).unwrap();
        store.set_status(made[5].row(), Status::Cancelled);
        let failed = |project: Option<&'static str>, limit| {
            store.read(move |tx| Ok(titles(&tx.failed_batches(project, limit)?))).unwrap()
        };
        assert_eq!(failed(None, 10), ["chunk", "item"]);
        assert_eq!(failed(Some("p"), 1), ["chunk"]);
        assert!(failed(Some("q"), 10).is_empty());
    }

    fn a_batch_is_workable_while_a_chunk_can_be_claimed_or_is(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (row, first, second) = (batch.row(), batch.chunk(1), batch.chunk(2));
        let workable = || store.read(move |tx| tx.has_workable_chunk(row)).unwrap();
        assert!(workable());
        store.end_chunk(first, Status::Done);
        store.write(move |tx| tx.add_hold(second, None)).unwrap();
        assert!(workable());
        store.claim(second, "w", 60);
        assert!(workable());
        store.set_status(second, Status::Review);
        assert!(!workable());
        store.set_status(second, Status::Blocked);
        assert!(!workable());
    }

    fn failed_and_blocked_chunks_are_counted(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(5, 1));
        let row = batch.row();
        let failed = || store.read(move |tx| tx.count_failed_chunks(row)).unwrap();
        assert_eq!(failed(), 0);
        store.end_chunk(batch.chunk(1), Status::Failed);
        store.set_status(batch.chunk(2), Status::Blocked);
        store.end_chunk(batch.chunk(3), Status::Rejected);
        store.end_chunk(batch.chunk(4), Status::Cancelled);
        assert_eq!(failed(), 2);
    }

    fn the_bytes_of_items_are_added_up(store: &TestStore) {
        let bytes =
            |project: Option<Option<&'static str>>| store.read(move |tx| tx.items_bytes(project)).unwrap();
        assert_eq!((bytes(None), bytes(Some(None)), bytes(Some(Some("p")))), (0, 0, 0));
        // An item has 3 bytes of a key and 12 of fields.
        store.batch(BatchPlan::of(2, 2).in_project("p"));
        store.batch(BatchPlan::of(1, 1).in_project("q"));
        let last = store.batch(BatchPlan::of(1, 3));
        assert_eq!(bytes(None), 8 * 15);
        assert_eq!((bytes(Some(Some("p"))), bytes(Some(Some("q"))), bytes(Some(None))), (60, 15, 45));
        assert_eq!(bytes(Some(Some("none"))), 0);
        let (row, chunk) = (last.row(), last.chunk(1));
        store.write(move |tx| tx.finish_items(row, chunk, 100, None)).unwrap();
        assert_eq!(bytes(Some(None)), 145);
    }
}
