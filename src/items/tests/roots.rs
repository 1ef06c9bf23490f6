//! Which paths may be opened, and which are refused.

use std::fs::File;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::*;

#[test]
fn nothing_outside_the_roots_is_opened() {
    let here = folders();
    let roots = SourceRoots::new([&here.root]);
    symlink(&here.outside, here.root.join("way-out")).unwrap();
    symlink("../outside/secret.jsonl", here.root.join("out.jsonl")).unwrap();
    let secret = here.outside.join("secret.jsonl");
    for path in [
        "../outside/secret.jsonl",
        "sub/../../outside/secret.jsonl",
        "way-out/secret.jsonl",
        "out.jsonl",
        secret.to_str().unwrap(),
    ] {
        refused(&roots, path, "lies outside the allowed folders");
    }
    // The refusal does not reveal whether a path outside exists.
    refused(&roots, "../outside/none", "lies outside the allowed folders");
    refused(&SourceRoots::new(Vec::<String>::new()), "a.jsonl", "no folder is allowed");
    assert_eq!(open(&SourceRoots::new([&here.root, &here.outside]), "out.jsonl", "key").unwrap().len(), 1);
}

#[test]
fn paths_within_the_roots_may_be_written_in_any_way() {
    let here = folders();
    symlink(here.root.join("a.jsonl"), here.root.join("sub/absolute")).unwrap();
    symlink(&here.root, here.outside.join("alias")).unwrap();
    let absolute = here.root.join("a.jsonl");
    let alias = SourceRoots::new([here.outside.join("alias")]);
    for (roots, path) in [
        (&SourceRoots::new([&here.root]), "sub/../a.jsonl"),
        (&SourceRoots::new([&here.root]), "sub/absolute"),
        (&SourceRoots::new([&here.root]), absolute.to_str().unwrap()),
        (&SourceRoots::new(["/"]), absolute.to_str().unwrap()),
        (&SourceRoots::new([&here.outside, &here.root]), absolute.to_str().unwrap()),
        (&alias, "a.jsonl"),
        (&alias, absolute.to_str().unwrap()),
    ] {
        assert_eq!(
            open(roots, path, "key").as_deref(),
            Ok(&["line 1: a {\"key\":\"a\"}".to_owned()][..]),
            "{path}"
        );
    }
}

#[test]
fn a_special_file_is_refused_at_once() {
    let here = folders();
    let fifo = here.root.join("fifo.jsonl");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = UnixListener::bind(here.root.join("socket")).unwrap();
    let (sender, receiver) = channel();
    let roots = SourceRoots::new([here.root.clone()]);
    thread::spawn(move || sender.send(open(&roots, "fifo.jsonl", "key")));
    let answer = receiver.recv_timeout(Duration::from_secs(10)).expect("a FIFO must not hang the reader");
    assert!(answer.unwrap_err().contains("\"fifo.jsonl\" is a FIFO, not a regular file"));
    let roots = SourceRoots::new([&here.root]);
    refused(&roots, "socket", "is a socket, not a regular file");
    refused(&SourceRoots::new(["/"]), "/dev/null", "is a device, not a regular file");
    refused(&roots, "none.jsonl", "\"none.jsonl\" cannot be opened: no such file or folder");
    refused(&roots, "a.jsonl/x", "cannot be opened");
    refused(&roots, "", "path is empty");
    refused(&roots, "a\0b", "cannot be opened");
    File::create(here.root.join("huge")).unwrap().set_len(MAX_SOURCE_BYTES + 1).unwrap();
    refused(&roots, "huge", "has 4294967297 bytes; a source has at most 4294967296 (4 GiB)");
}
