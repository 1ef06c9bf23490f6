//! Leases: one holder at a time, a number that grows, and what is stored about machines. A store of one machine has none.

use tasktally::model::id::{ProcessMark, TaskId};
use tasktally::store::{HeldLease, LeaseHolder, LeaseName, LeaseState};

use crate::stores::{TestStore, conformance};

fn holder(host: &str, place: &str) -> LeaseHolder {
    LeaseHolder { host: host.to_owned(), pid: 7, place: place.to_owned() }
}

fn run() -> LeaseName {
    LeaseName::Run(TaskId::stored("b".to_owned()))
}

/// Acquires a lease; `None` if the store has none.
fn acquire(
    store: &TestStore,
    name: LeaseName,
    holder: &LeaseHolder,
) -> Option<Result<Box<dyn HeldLease>, LeaseHolder>> {
    let store = store.store();
    Some(store.leases()?.acquire(name, holder).unwrap())
}

conformance! {
    fn a_lease_has_one_holder_and_a_number_that_grows(store: &TestStore) {
        let Some(first) = acquire(store, run(), &holder("ash", "")) else {
            assert!(store.read(|tx| tx.lease(&run())).unwrap().is_none());
            return;
        };
        let first = first.map_err(|other| other.host).unwrap();
        assert_eq!((first.fence().number, first.state()), (1, LeaseState::Held));
        let refused = acquire(store, run(), &holder("birch", "")).unwrap().map(|_| ());
        assert_eq!(refused, Err(holder("ash", "")));
        let found = store.read(|tx| tx.lease(&run())).unwrap().unwrap();
        assert_eq!((found.fence, found.is_live, found.holder.host.as_str()), (1, true, "ash"));
        drop(first);
        assert!(!store.read(|tx| tx.lease(&run())).unwrap().unwrap().is_live);
        let second = acquire(store, run(), &holder("birch", "")).unwrap().map_err(|other| other.host).unwrap();
        assert_eq!(second.fence().number, 2);
        // Another batch has another lease.
        let other = LeaseName::Run(TaskId::stored("c".to_owned()));
        assert!(acquire(store, other, &holder("ash", "")).unwrap().is_ok());
    }

    fn the_same_place_takes_a_lease_over_before_it_ends(store: &TestStore) {
        let Some(first) = acquire(store, run(), &holder("ash", "boot:1:2")) else { return };
        let first = first.map_err(|other| other.host).unwrap();
        assert!(acquire(store, run(), &holder("ash", "boot:1:3")).unwrap().is_err());
        let second = acquire(store, run(), &holder("ash", "boot:1:2")).unwrap();
        let second = second.map_err(|other| other.host).unwrap();
        assert_eq!(second.fence().number, 2);
        // The end of the first one's share ends nothing.
        drop(first);
        assert!(store.read(|tx| tx.lease(&run())).unwrap().unwrap().is_live);
    }

    fn the_leases_of_processes_are_listed_until_they_end(store: &TestStore) {
        let mark = ProcessMark::random();
        let Some(lease) = acquire(store, LeaseName::Process(mark.clone()), &holder("ash", "p")) else {
            assert!(store.read(|tx| tx.work_processes()).unwrap().is_empty());
            return;
        };
        let _run = acquire(store, run(), &holder("birch", "p"));
        let listed = store.read(|tx| tx.work_processes()).unwrap();
        assert_eq!(listed, [(mark.clone(), holder("ash", "p"))]);
        drop(lease);
        assert!(store.read(|tx| tx.work_processes()).unwrap().is_empty());
        assert!(store.read(move |tx| tx.lease(&LeaseName::Process(mark.clone()))).unwrap().is_none());
    }

    fn the_machine_of_each_attempt_is_recorded(store: &TestStore) {
        for (attempt, host) in [(2, "birch"), (1, "ash"), (2, "cedar")] {
            store.write(move |tx| tx.record_attempt_host(5, attempt, host)).unwrap();
        }
        let hosts = store.read(|tx| tx.attempt_hosts(5)).unwrap();
        let expected = [(1, "ash".to_owned()), (2, "cedar".to_owned())];
        assert_eq!(hosts, if store.store().leases().is_some() { expected.to_vec() } else { Vec::new() });
    }
}
