//! A disk without a free byte when a store is opened: even the WAL's shared memory file has no space.

use std::io::Write as _;

use crate::support::mount::Mount;
use crate::support::store::Store;

#[test]
fn opening_a_store_on_a_full_disk_is_refused_and_loses_nothing() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "2m") else {
        return;
    };
    store.tasktally(["create-task", "--task-title", "Kept"]).success();
    let mut filler = std::fs::File::create(store.folder().join("disk/filler")).unwrap();
    // In smaller and smaller steps, until not one more byte fits.
    for size in [1 << 16, 1 << 12, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
    for args in [&["list-tasks"][..], &["create-task", "--task-title", "New"]] {
        let ran = store.tasktally(args).code(1);
        assert!(ran.output().contains("the disk is full"), "{args:?}: {}", ran.output());
    }
    disk.remount("size=4m");
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).success().json();
    assert_eq!(listed["total"], 1);
    println!("2 commands on a disk without a free byte: both refused, nothing lost");
}
