//! Files that an agent must not get as items.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::store::Store;

fn batch_of(server: &mut Server, source: &Value) -> Reply {
    let request = json!({"title": "B", "instructions": "Do.", "source": source, "on_bad_item": "skip", "dry_run": true});
    server.call("create_batch", request)
}

fn serve_in(store: &Store, folder: &Path, args: &[&str]) -> Server {
    let mut command = store.command();
    command.current_dir(folder).arg("serve").args(args);
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    server
}

/// A server starts above the store's folder. A file there has the token of a live worker, and a batch of that file gives it
/// to whoever creates the batch.
#[test]
fn the_tokens_of_workers_are_not_items() {
    let store = Store::new_sqlite();
    store.create();
    let jobs = store.data_folder().join("jobs");
    std::fs::create_dir(&jobs).unwrap();
    let secret = jobs.join("abc.01.json");
    std::fs::write(&secret, "{\"key\": \"run-token\"}\n").unwrap();
    symlink(&jobs, store.folder().join("link")).unwrap();
    symlink("store/jobs/abc.01.json", store.folder().join("link.jsonl")).unwrap();
    std::fs::hard_link(&secret, store.folder().join("hard.jsonl")).unwrap();
    store.write("good.jsonl", "{\"key\": \"a\"}\n");
    let mut server = store.serve();
    for (path, why) in [
        ("store/jobs/abc.01.json", "where Tasktally has files of its own"),
        ("store/jobs", "where Tasktally has files of its own"),
        ("store/../store/jobs", "where Tasktally has files of its own"),
        ("store", "where Tasktally has files of its own"),
        ("link", "where Tasktally has files of its own"),
        ("link/abc.01.json", "where Tasktally has files of its own"),
        ("link.jsonl", "where Tasktally has files of its own"),
        ("hard.jsonl", "has 2 hard links"),
    ] {
        let refused = batch_of(&mut server, &json!({"path": path}));
        assert_eq!(refused.refusal(), "invalid_argument", "{path}");
        assert!(refused.message().contains(why), "{path}: {}", refused.message());
        assert!(!refused.message().contains("run-token"), "{}", refused.message());
    }
    // The folder above is listed without them, and the reply says so.
    let listed = batch_of(&mut server, &json!({"path": ".", "glob": "**/*.json*"})).ok();
    assert_eq!(listed.count("/batch/items"), 2, "good.jsonl and hard.jsonl by their names");
    let text = listed.to_string();
    assert!(text.contains("a folder with Tasktally's own files"), "{text}");
    assert_eq!(batch_of(&mut server, &json!({"path": "good.jsonl"})).ok().count("/batch/items"), 1);
    // In the store's own folder, items are read, but not the files of workers.
    let mut inside = serve_in(&store, &store.data_folder(), &[]);
    std::fs::write(store.data_folder().join("good.jsonl"), "{\"key\": \"a\"}\n").unwrap();
    assert_eq!(batch_of(&mut inside, &json!({"path": "good.jsonl"})).ok().count("/batch/items"), 1);
    assert_eq!(batch_of(&mut inside, &json!({"path": "jobs/abc.01.json"})).refusal(), "invalid_argument");
}

/// Clients start servers in `/` or in the home folder, in which there are keys of every kind.
#[test]
fn the_root_and_the_home_folder_are_not_read_unless_the_operator_names_them() {
    let store = Store::new();
    let key = store.home().join("key.jsonl");
    std::fs::write(&key, "{\"key\": \"a\"}\n").unwrap();
    symlink(store.home(), store.folder().join("to-home")).unwrap();
    let source = json!({"path": key});
    for folder in [Path::new("/"), &store.home(), &store.folder().join("to-home")] {
        let refused = batch_of(&mut serve_in(&store, folder, &[]), &source);
        assert_eq!(refused.refusal(), "invalid_argument");
        assert!(refused.message().contains("--item-folder DIR"), "{}", refused.message());
    }
    let home = store.home();
    let mut named = serve_in(&store, Path::new("/"), &["--item-folder", home.to_str().unwrap()]);
    assert_eq!(batch_of(&mut named, &source).ok().count("/batch/items"), 1);
    assert_eq!(batch_of(&mut named, &json!({"path": "/etc/passwd"})).refusal(), "invalid_argument");
}

/// While a file is opened, another process swaps it for a FIFO, a link to a secret, and back. The call must end, and must
/// never return the secret.
#[test]
fn a_file_that_is_swapped_while_it_is_opened_neither_hangs_nor_leaks() {
    let store = Store::new_sqlite();
    store.create();
    let jobs = store.data_folder().join("jobs");
    std::fs::create_dir(&jobs).unwrap();
    std::fs::write(jobs.join("secret.jsonl"), "{\"key\": \"secret\"}\n").unwrap();
    store.write("plain.jsonl", "{\"key\": \"plain\"}\n");
    let at = |name: &str| store.folder().join(name);
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    symlink("store/jobs/secret.jsonl", at("link")).unwrap();
    symlink("plain.jsonl", at("fine")).unwrap();
    symlink("fifo", at("to-fifo")).unwrap();
    let mut server = store.serve();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for name in ["fine", "to-fifo", "fine", "link"] {
                    let _ = std::fs::remove_file(at("next"));
                    let target = std::fs::read_link(at(name)).unwrap();
                    symlink(target, at("next")).unwrap();
                    std::fs::rename(at("next"), at("items.jsonl")).unwrap();
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        });
        let mut read = 0;
        for _ in 0..300 {
            let reply = batch_of(&mut server, &json!({"path": "items.jsonl"}));
            assert!(!reply.to_string().contains("secret\""), "{}", reply.to_string());
            read += usize::from(reply["success"] == true);
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(read > 0, "no attempt found the plain file");
    });
}
