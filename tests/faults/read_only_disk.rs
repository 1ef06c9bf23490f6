//! A disk becomes read-only while a server writes: a real ext4 file system detects an error in itself.
//!
//! At that moment ext4 may confirm a sync and lose the data by which the file grew. A bare `pwrite` and `fdatasync`
//! lose it too (Linux 6.18, in some of a hundred moments). So the test only counts whether the last acknowledged
//! receipt is lost. All earlier ones must be stored.
//!
//! `TASKTALLY_ROUNDS` sets the number of disks, `TASKTALLY_SEED` repeats the same random moments.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::stored_writes::{ExpectedWrite, ReplyLog, UNKNOWN, says, texts};
use crate::support::cli::Run;
use crate::support::mount::Mount;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::store::Store;

/// The number of refused writes after which the test stops.
const REFUSALS: usize = 5;

/// Writes receipts until the disk refuses them.
fn write_until_refused(replies: &mut ReplyLog, server: &mut Server, task: &str) {
    while replies.errors < REFUSALS {
        let text = format!("- receipt {} {}", replies.possible.len(), replies.errors);
        let reply = server.call("update_task", json!({"id": task, "body": text}));
        replies.record(&reply, ExpectedWrite::Receipt { task: task.to_owned(), text, item: None });
        if reply.succeeded() {
            assert_eq!(replies.errors, 0, "a write succeeded after a refused one");
            continue;
        }
        assert!(says(&reply, "its disk is read-only") || says(&reply, "Read-only"), "{}", reply.value);
        if !says(&reply, UNKNOWN) {
            assert!(says(&reply, "nothing was written"), "{}", reply.value);
            assert_eq!(reply.refusal(), "read_only", "{}", reply.value);
        }
    }
}

fn assert_read(replies: &ReplyLog, body: &str) {
    for (leaves, _) in &replies.acknowledged {
        let ExpectedWrite::Receipt { text, .. } = leaves else { continue };
        assert!(body.split("\n\n").any(|kept| kept == text), "'{text}' cannot be read any more");
    }
}

#[test]
fn a_disk_that_becomes_read_only_is_reported_and_loses_nothing() {
    let mut rng = Rng::seeded("a_disk_that_turns_read_only");
    let (mut acknowledged, mut unknown, mut lost) = (0, 0, 0);
    let rounds = rounds("TASKTALLY_ROUNDS", 2);
    for round in 0..rounds {
        let store = Store::new_sqlite().at("disk/store/tasktally.db");
        let image = store.folder().join("image");
        let Some(disk) = Mount::ext4(store.folder().join("disk"), &image, 24 << 20) else {
            return;
        };
        let mut server = store.serve();
        let (id, mut replies) = (server.create_task("Log"), ReplyLog::default());
        // The kernel refuses to remount a disk as read-only while files are open for writing.
        assert!(!disk.try_remount("ro"), "a disk in use was remounted");
        let wait = Duration::from_micros(rng.below(40_000));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(wait);
                disk.trigger_error();
            });
            write_until_refused(&mut replies, &mut server, &id);
        });
        assert_read(&replies, &server.body(&id));
        // What is stored can be read, also by a new process.
        Run::new(store.command(), ["list-tasks"]).success();
        let ran = Run::new(store.command(), ["create-task", "--task-title", "New"]).code(2);
        assert!(ran.output().contains("its disk is read-only"), "{}", ran.output());
        if round % 2 == 0 {
            server.kill();
        } else {
            server.close();
        }
        disk.repair(&image);
        acknowledged += replies.acknowledged.len();
        unknown += replies.unknown;
        let last = replies.acknowledged.pop();
        replies.possible.push(ExpectedWrite::Task("Log".into()));
        replies.assert_kept(&store, &format!("round {round}"));
        if let Some((ExpectedWrite::Receipt { text, .. }, _)) = last {
            lost += usize::from(!texts(&store).contains(&text));
        }
    }
    println!(
        "{rounds} disks became read-only under a server: {acknowledged} receipts acknowledged, {lost} of them lost although the kernel confirmed the sync, {unknown} reported as unknown"
    );
}
