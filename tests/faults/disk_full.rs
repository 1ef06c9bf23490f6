//! A disk that is full to the brim when a store is opened: not even what its log is found by has room.

use std::io::Write as _;

use crate::support::mount::Mount;
use crate::support::store::Store;

#[test]
fn a_store_that_cannot_be_opened_for_lack_of_room_says_so() {
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "2m") else {
        println!("skipped a_store_that_cannot_be_opened_for_lack_of_room: no right to mount");
        return;
    };
    store.tasktally(["create-task", "--task-title", "Kept"]).success();
    let mut filler = std::fs::File::create(store.folder().join("disk/filler")).unwrap();
    // Smaller and smaller, until not a byte more has room.
    for size in [1 << 16, 1 << 12, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
    for args in [&["list-tasks"][..], &["create-task", "--task-title", "New"]] {
        let ran = store.tasktally(args).code(1);
        assert!(ran.said().contains("the disk is full"), "{args:?}: {}", ran.said());
    }
    disk.remount("size=4m");
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).success().json();
    assert_eq!(listed["total"], 1);
    println!("2 commands on a disk without a byte of room: told, and nothing was lost");
}
