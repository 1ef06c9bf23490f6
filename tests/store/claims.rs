//! Claims and leases. A change of state is a compare-and-set on the generation of the claim.

use tasktally::error::Code;
use tasktally::model::claim::Claim;
use tasktally::model::claim_rules::claimed;
use tasktally::model::id::Token;
use tasktally::model::limits::MAX_LEASE_SECONDS;
use tasktally::model::status::Status;
use tasktally::model::task::Task;
use tasktally::model::timestamp::Timestamp;
use tasktally::store::NewReceipt;

use crate::actions::titles;
use crate::build::{BatchPlan, new_task};
use crate::stores::{TestStore, conformance};

/// The titles of the tasks whose lease has expired.
fn expired(store: &TestStore) -> Vec<String> {
    store.read(|tx| Ok(titles(&tx.expired_claims(100)?))).unwrap()
}

/// The titles of the claimed tasks that have not changed since a time.
fn idle_since(store: &TestStore, moment: Timestamp, limit: usize) -> Vec<String> {
    store.read(move |tx| Ok(titles(&tx.claims_idle_since(moment, limit)?))).unwrap()
}

conformance! {
    fn a_claim_is_stored_with_all_its_fields(store: &TestStore) {
        let before = store.task("task");
        let claim = Claim {
            worker: "wörker".to_owned(),
            token: Some(Token::stored("token-1".to_owned())),
            claimed_at: Timestamp::from_millis(1_000),
            expires_at: Timestamp::from_millis(4_102_444_800_123),
            lease_seconds: 86_400,
        };
        let after = claimed(&before, "assignee", claim.clone());
        let row = before.row;
        store.write(move |tx| tx.update_state(&after, before.generation)).unwrap();
        store.reopen();
        let stored = store.get(row);
        assert_eq!(stored.claim, Some(claim));
        assert_eq!((stored.status, stored.generation), (Status::InProgress, 1));
        assert_eq!(stored.assignee.as_deref(), Some("assignee"));
    }

    fn an_open_claim_has_no_token(store: &TestStore) {
        let before = store.task("task");
        let row = before.row;
        store
            .write(move |tx| {
                let claim = Claim::new("w", None, tx.now(), 60);
                tx.update_state(&claimed(&before, "w", claim), before.generation)
            })
            .unwrap();
        assert_eq!(store.get(row).claim.unwrap().token, None);
    }

    fn a_claim_can_be_removed(store: &TestStore) {
        let row = store.task("task").row;
        let before = store.claim(row, "w", 60);
        let after = Task { status: Status::Active, claim: None, assignee: None, ..before.clone() };
        store.write(move |tx| tx.update_state(&after, before.generation)).unwrap();
        let stored = store.get(row);
        assert_eq!((stored.claim, stored.assignee, stored.generation), (None, None, 1));
        assert_eq!(stored.status, Status::Active);
    }

    fn every_status_is_stored(store: &TestStore) {
        let row = store.task("task").row;
        for status in Status::ALL {
            assert_eq!(store.set_status(row, *status).status, *status);
            assert_eq!(store.get(row).status, *status);
        }
    }

    fn a_change_of_state_keeps_the_other_fields(store: &TestStore) {
        let before = store.add(Task { tags: vec!["t".to_owned()], ..new_task("task") });
        let after = Task {
            status: Status::Done,
            title: "other".to_owned(),
            priority: 0,
            receipt_count: 9,
            blocker_count: 9,
            ..before.clone()
        };
        let row = before.row;
        store.write(move |tx| tx.update_state(&after, 0)).unwrap();
        let stored = store.get(row);
        assert_eq!((stored.title, stored.priority, stored.tags), (before.title, 2, before.tags));
        assert_eq!((stored.receipt_count, stored.blocker_count), (0, 0));
    }

    fn a_change_of_state_under_another_generation_is_refused(store: &TestStore) {
        let first = store.task("task");
        let row = first.row;
        let second = store.claim(row, "w", 60);
        let late = Task { status: Status::Done, ..first };
        for generation in [0, 2] {
            let late = late.clone();
            let error = store.write(move |tx| tx.update_state(&late, generation)).unwrap_err();
            assert_eq!(error.code, Code::Conflict, "{generation}");
        }
        assert_eq!(store.get(row), second);
    }

    fn one_of_several_claims_of_a_task_succeeds(store: &TestStore) {
        let before = store.task("task");
        let row = before.row;
        let workers = ["w1", "w2", "w3", "w4"];
        let claims: Vec<_> = std::thread::scope(|scope| {
            let threads = workers.map(|worker| {
                let before = before.clone();
                scope.spawn(move || {
                    store.write(move |tx| {
                        let claim = Claim::new(worker, None, tx.now(), 60);
                        tx.update_state(&claimed(&before, worker, claim), before.generation)
                    })
                })
            });
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<&str> = workers
            .iter()
            .zip(&claims)
            .filter(|(_, claim)| claim.is_ok())
            .map(|(worker, _)| *worker)
            .collect();
        assert_eq!(winners.len(), 1, "{claims:?}");
        assert!(
            claims.iter().filter_map(|claim| claim.as_ref().err()).all(|error| error.code == Code::Conflict)
        );
        let stored = store.get(row);
        assert_eq!((stored.claim.unwrap().worker, stored.generation), (winners[0].to_owned(), 1));
    }

    fn a_renewal_moves_the_end_of_a_lease(store: &TestStore) {
        let task = store.task("task");
        let claimed = store.claim(task.row, "w", 60);
        let row = claimed.row;
        let until = claimed.claim.clone().unwrap().expires_at.saturating_add_secs(100);
        let given = claimed.clone();
        store.write(move |tx| tx.renew_lease(&given, until)).unwrap();
        let stored = store.get(row);
        assert_eq!(stored.claim, claimed.claim.map(|claim| Claim { expires_at: until, ..claim }));
        assert_eq!((stored.status, stored.generation), (Status::InProgress, 1));
    }

    fn a_renewal_under_an_older_generation_is_refused(store: &TestStore) {
        let row = store.task("task").row;
        let first = store.claim(row, "one", 60);
        let second = store.claim(row, "two", 60);
        let error = store.write(move |tx| tx.renew_lease(&first, tx.now())).unwrap_err();
        assert_eq!(error.code, Code::Conflict);
        assert_eq!(store.get(row), second);
    }

    fn a_receipt_can_renew_a_lease(store: &TestStore) {
        let row = store.task("task").row;
        let task = store.claim(row, "w", 60);
        let until = task.claim.clone().unwrap().expires_at.saturating_add_secs(30);
        store
            .write(move |tx| {
                tx.append_receipt(&task, &NewReceipt { lease_until: Some(until), ..NewReceipt::default() })
            })
            .unwrap();
        assert_eq!(store.get(row).claim.unwrap().expires_at, until);
        store.report(row, "no renewal");
        assert_eq!(store.get(row).claim.unwrap().expires_at, until);
    }

    fn a_claim_expires_with_its_lease(store: &TestStore) {
        let rows = ["short", "long", "shorter"].map(|title| store.task(title).row);
        store.claim(rows[0], "w", 60);
        store.claim(rows[1], "w", 600);
        store.claim(rows[2], "w", 30);
        assert!(expired(store).is_empty());
        store.shift_clock(61_000);
        let mut found = expired(store);
        found.sort();
        assert_eq!(found, ["short", "shorter"]);
        let one = store.read(|tx| tx.expired_claims(1)).unwrap();
        assert_eq!(titles(&one), ["shorter"]);
    }

    fn only_tasks_in_progress_have_an_expired_claim(store: &TestStore) {
        let row = store.task("task").row;
        store.claim(row, "w", 60);
        store.set_status(row, Status::Review);
        store.shift_clock(61_000);
        assert!(expired(store).is_empty());
        assert_eq!(store.read(|tx| tx.next_lease_expiry()).unwrap(), None);
    }

    fn a_lease_that_ends_later_than_any_can_is_expired(store: &TestStore) {
        let row = store.task("task").row;
        store.claim(row, "w", MAX_LEASE_SECONDS);
        assert!(expired(store).is_empty());
        // The clock is set back by more than the minute that is allowed for.
        store.shift_clock(-120_000);
        assert_eq!(expired(store), ["task"]);
    }

    fn no_more_claims_are_expired_than_asked_for(store: &TestStore) {
        let rows = ["ended", "too long"].map(|title| store.task(title).row);
        store.claim(rows[0], "w", 60);
        store.shift_clock(600_000);
        store.claim(rows[1], "w", MAX_LEASE_SECONDS);
        store.shift_clock(-120_000);
        assert_eq!(expired(store), ["ended", "too long"]);
        let one = store.read(|tx| tx.expired_claims(1)).unwrap();
        assert_eq!(titles(&one), ["ended"]);
    }

    fn the_next_lease_to_expire_is_the_earliest(store: &TestStore) {
        let next = || store.read(|tx| tx.next_lease_expiry()).unwrap();
        assert_eq!(next(), None);
        let rows = ["a", "b"].map(|title| store.task(title).row);
        let later = store.claim(rows[0], "w", 600).claim.unwrap().expires_at;
        let earlier = store.claim(rows[1], "w", 60).claim.unwrap().expires_at;
        assert_eq!(next(), Some(earlier));
        store.shift_clock(61_000);
        assert_eq!(next(), Some(later));
    }

    fn claims_without_a_change_are_idle(store: &TestStore) {
        let rows = ["idle", "working", "active"].map(|title| store.task(title).row);
        let claimed = store.claim(rows[0], "w", 60);
        store.claim(rows[1], "w", 60);
        store.shift_clock(10_000);
        store.report(rows[1], "still here");
        assert_eq!(idle_since(store, claimed.updated.saturating_add_secs(1), 10), ["idle"]);
        assert_eq!(idle_since(store, claimed.updated.saturating_add_secs(20), 10), ["idle", "working"]);
        assert_eq!(idle_since(store, claimed.updated.saturating_add_secs(20), 1).len(), 1);
        assert!(idle_since(store, claimed.updated.saturating_add_secs(-1), 10).is_empty());
        let last = store.get(rows[1]).updated;
        assert_eq!(idle_since(store, last, 10), ["idle", "working"]);
    }

    fn a_batch_in_progress_is_no_idle_claim(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        store.claim(batch.chunk(1), "w", 60);
        let later = store.get(batch.chunk(1)).updated.saturating_add_secs(1);
        assert_eq!(idle_since(store, later, 10), ["chunk 1"]);
    }
}
