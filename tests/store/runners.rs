//! Runners of batches, their permits, and the worker starts of profiles.

use tasktally::model::fair_share::FairShare;
use tasktally::model::task::RowId;
use tasktally::model::timestamp::Timestamp;
use tasktally::store::RunnerRecord;

use crate::build::BatchPlan;
use crate::stores::{TestStore, conformance};

/// A record of a runner with a marker.
fn record(batch: RowId, marker: &str) -> RunnerRecord {
    RunnerRecord {
        batch,
        run_marker: marker.to_owned(),
        profile: "fast".to_owned(),
        pid: u32::MAX,
        host: "höst".to_owned(),
        started_at: Timestamp::from_millis(1_000),
        heartbeat_at: Timestamp::from_millis(2_000),
        wait_reason: Some("no permit".to_owned()),
    }
}

/// Records a runner.
fn replace(store: &TestStore, runner: RunnerRecord) {
    store.write(move |tx| tx.replace_runner(&runner)).unwrap();
}

/// The recorded runner of a batch.
fn runner(store: &TestStore, batch: RowId) -> Option<RunnerRecord> {
    store.read(move |tx| tx.runner(batch)).unwrap()
}

/// The markers of all recorded runners.
fn markers(store: &TestStore) -> Vec<String> {
    let mut markers: Vec<String> =
        store.read(|tx| tx.runners()).unwrap().into_iter().map(|runner| runner.run_marker).collect();
    markers.sort();
    markers
}

/// How many workers a profile has started since so many seconds ago, and when it started the first of them.
fn starts(store: &TestStore, profile: &'static str, seconds: i64) -> (u64, Option<Timestamp>) {
    let found = store.read(move |tx| tx.worker_starts_since(profile, tx.now().saturating_add_secs(-seconds)));
    found.unwrap()
}

/// Records a start of a profile, and deletes those older than so many seconds. Returns the time.
fn start(store: &TestStore, profile: &'static str, kept_seconds: i64) -> Timestamp {
    store
        .write(move |tx| {
            tx.record_worker_start(profile, tx.now().saturating_add_secs(-kept_seconds))?;
            Ok(tx.now())
        })
        .unwrap()
}

conformance! {
    fn a_runner_is_recorded_with_all_its_fields(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        assert!(runner(store, row).is_none() && markers(store).is_empty());
        replace(store, record(row, "m"));
        store.reopen();
        assert_eq!(format!("{:?}", runner(store, row)), format!("{:?}", Some(record(row, "m"))));
    }

    fn a_runner_replaces_the_one_before(store: &TestStore) {
        let rows = [(); 2].map(|()| store.batch(BatchPlan::of(1, 1)).row());
        replace(store, record(rows[0], "old"));
        replace(store, record(rows[1], "other"));
        replace(store, RunnerRecord { wait_reason: None, ..record(rows[0], "new") });
        assert_eq!(markers(store), ["new", "other"]);
        assert_eq!(runner(store, rows[0]).unwrap().wait_reason, None);
    }

    fn a_heartbeat_has_the_time_and_the_reason_to_wait(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        replace(store, record(row, "m"));
        for reason in [Some("paused"), None] {
            let now = store.write(move |tx| {
                tx.record_runner_heartbeat(row, reason)?;
                Ok(tx.now())
            });
            let found = runner(store, row).unwrap();
            assert_eq!((found.heartbeat_at, found.wait_reason.as_deref()), (now.unwrap(), reason));
            assert_eq!(found.started_at, Timestamp::from_millis(1_000));
        }
    }

    fn a_new_runner_holds_no_permits(store: &TestStore) {
        let mut plan = BatchPlan::of(1, 1);
        plan.task.priority = 1;
        let row = store.batch(plan).row();
        let shares = || store.read(|tx| tx.fair_shares()).unwrap();
        assert!(shares().is_empty());
        replace(store, record(row, "m"));
        let none = FairShare { batch: row, priority: 1, permits: 0, is_waiting: false };
        assert_eq!(shares(), [(none, Timestamp::from_millis(2_000))]);
        let now = store.write(move |tx| {
            tx.set_fair_share(row, 7, true)?;
            Ok(tx.now())
        });
        let some = FairShare { permits: 7, is_waiting: true, ..none };
        assert_eq!(shares(), [(some, now.unwrap())]);
        replace(store, record(row, "next"));
        assert_eq!(shares(), [(none, Timestamp::from_millis(2_000))]);
    }

    fn each_runner_has_its_share(store: &TestStore) {
        let rows = [(); 2].map(|()| store.batch(BatchPlan::of(1, 1)).row());
        rows.into_iter().for_each(|row| replace(store, record(row, "m")));
        store.write(move |tx| tx.set_fair_share(rows[1], 2, false)).unwrap();
        let mut permits: Vec<(RowId, u64)> = store
            .read(|tx| tx.fair_shares())
            .unwrap()
            .into_iter()
            .map(|(share, _)| (share.batch, share.permits))
            .collect();
        permits.sort_unstable();
        assert_eq!(permits, [(rows[0], 0), (rows[1], 2)]);
    }

    fn a_runner_deletes_its_own_record_only(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        replace(store, record(row, "new"));
        store.write(move |tx| tx.delete_runner(row, "old")).unwrap();
        assert_eq!(markers(store), ["new"]);
        store.write(move |tx| tx.delete_runner(row, "new")).unwrap();
        assert!(markers(store).is_empty());
        store.write(move |tx| tx.delete_runner(row, "new")).unwrap();
    }

    fn a_profile_is_paused_for_a_reason(store: &TestStore) {
        let reason = |profile: &'static str| store.read(move |tx| tx.profile_pause_reason(profile)).unwrap();
        assert_eq!(reason("fast"), None);
        for text in ["first", "second"] {
            store.write(move |tx| tx.set_profile_pause("fast", Some(text))).unwrap();
            assert_eq!(reason("fast").as_deref(), Some(text));
        }
        assert_eq!(reason("slow"), None);
        for _ in 0..2 {
            store.write(|tx| tx.set_profile_pause("fast", None)).unwrap();
            assert_eq!(reason("fast"), None);
        }
    }

    fn worker_starts_of_a_profile_are_counted(store: &TestStore) {
        assert_eq!(starts(store, "fast", 60), (0, None));
        let first = start(store, "fast", 3_600);
        store.shift_clock(10_000);
        start(store, "fast", 3_600);
        start(store, "fast", 3_600);
        start(store, "slow", 3_600);
        assert_eq!(starts(store, "fast", 60), (3, Some(first)));
        assert_eq!(starts(store, "fast", 5).0, 2);
        assert_eq!(starts(store, "slow", 60).0, 1);
    }

    fn starts_are_counted_after_the_given_time(store: &TestStore) {
        let at = start(store, "fast", 3_600);
        let since = |since: Timestamp| store.read(move |tx| tx.worker_starts_since("fast", since)).unwrap();
        assert_eq!(since(at), (0, None));
        assert_eq!(since(Timestamp::from_millis(at.millis() - 1)), (1, Some(at)));
    }

    fn old_starts_are_deleted_with_a_new_one(store: &TestStore) {
        start(store, "fast", 3_600);
        start(store, "slow", 3_600);
        store.shift_clock(60_000);
        let second = start(store, "fast", 30);
        assert_eq!(starts(store, "fast", 3_600), (1, Some(second)));
        assert_eq!(starts(store, "slow", 3_600).0, 1);
    }

    fn starts_in_the_future_do_not_count(store: &TestStore) {
        start(store, "fast", 3_600);
        // The clock is set back.
        store.shift_clock(-60_000);
        assert_eq!(starts(store, "fast", 3_600), (0, None));
        let at = start(store, "fast", 3_600);
        store.shift_clock(120_000);
        assert_eq!(starts(store, "fast", 3_600), (1, Some(at)));
    }
}
