//! A disk turns read-only under a server that writes: a real file system that finds an error in itself.
//!
//! In the moment of its error ext4 may confirm a sync and lose what it grew a file by; a bare `pwrite` and
//! `fdatasync` lose it as well (Linux 6.18, some of a hundred moments). So the last receipt that was
//! acknowledged is only counted; all before it have to be there.
//!
//! `TASKTALLY_ROUNDS` says how often, `TASKTALLY_SEED` for the same moments again.

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

/// After how many refusals the server has been heard.
const REFUSALS: usize = 5;

/// Receipts, until the disk takes no more.
fn write_until_refused(told: &mut ReplyLog, server: &mut Server, task: &str) {
    while told.errors < REFUSALS {
        let text = format!("- receipt {} {}", told.possible.len(), told.errors);
        let reply = server.call("update_task", json!({"id": task, "body": text}));
        told.record(&reply, ExpectedWrite::Receipt { task: task.to_owned(), text, item: None });
        if reply.succeeded() {
            assert_eq!(told.errors, 0, "a disk that takes nothing took a write");
            continue;
        }
        assert!(says(&reply, "its disk is read-only") || says(&reply, "Read-only"), "{}", reply.value);
        if !says(&reply, UNKNOWN) {
            assert!(says(&reply, "nothing was written"), "{}", reply.value);
            assert_eq!(reply.refusal(), "read_only", "{}", reply.value);
        }
    }
}

fn assert_read(told: &ReplyLog, body: &str) {
    for (leaves, _) in &told.acknowledged {
        let ExpectedWrite::Receipt { text, .. } = leaves else { continue };
        assert!(body.split("\n\n").any(|kept| kept == text), "'{text}' is not read any more");
    }
}

#[test]
fn a_disk_that_turns_read_only_under_a_server_is_told_and_loses_nothing() {
    let mut rng = Rng::seeded("a_disk_that_turns_read_only");
    let (mut acknowledged, mut unknown, mut lost) = (0, 0, 0);
    let rounds = rounds("TASKTALLY_ROUNDS", 2);
    for round in 0..rounds {
        let store = Store::new().at("disk/store/tasktally.db");
        let image = store.folder().join("image");
        let Some(disk) = Mount::ext4(store.folder().join("disk"), &image, 24 << 20) else {
            return;
        };
        let mut server = store.serve();
        let (id, mut told) = (server.create_task("Log"), ReplyLog::default());
        // Whoever asks for it is refused by the kernel, as long as files are open for writing.
        assert!(!disk.try_remount("ro"), "a disk in use was remounted");
        let wait = Duration::from_micros(rng.below(40_000));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(wait);
                disk.trigger_error();
            });
            write_until_refused(&mut told, &mut server, &id);
        });
        assert_read(&told, &server.body(&id));
        for args in [&["list-tasks"][..], &["create-task", "--task-title", "New"]] {
            let ran = Run::new(store.command(), args).finish();
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.output().contains("its disk is read-only"), "{}", ran.output());
        }
        if round % 2 == 0 {
            server.kill();
        } else {
            server.close();
        }
        disk.repair(&image);
        acknowledged += told.acknowledged.len();
        unknown += told.unknown;
        let last = told.acknowledged.pop();
        told.possible.push(ExpectedWrite::Task("Log".into()));
        told.assert_kept(&store, &format!("round {round}"));
        if let Some((ExpectedWrite::Receipt { text, .. }, _)) = last {
            lost += usize::from(!texts(&store).contains(&text));
        }
    }
    println!(
        "{rounds} disks turned read-only under a server: {acknowledged} receipts acknowledged and kept but {lost} that the kernel confirmed as it failed, {unknown} told as unknown"
    );
}
