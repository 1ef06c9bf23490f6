//! Some clients connect to their servers by sockets instead of pipes.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

#[test]
fn a_client_that_uses_sockets_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (mut to_server, stdin) = UnixStream::pair().unwrap();
    let (from_server, stdout) = UnixStream::pair().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_tasktally"))
        .args(["serve", "--db"])
        .arg(folder.path().join("tasktally.db"))
        .stdin(Stdio::from(OwnedFd::from(stdin)))
        .stdout(Stdio::from(OwnedFd::from(stdout)))
        .spawn()
        .unwrap();
    from_server.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut from_server = BufReader::new(from_server).lines();
    let client = json!({ "name": "test", "version": "1" });
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client } });
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    for (request, expected) in [(initialize, "serverInfo"), (list, "tools")] {
        writeln!(to_server, "{request}").unwrap();
        let answer: Value = serde_json::from_str(&from_server.next().unwrap().unwrap()).unwrap();
        assert!(answer["result"].get(expected).is_some(), "{answer}");
    }
    drop(to_server);
    assert!(server.wait().unwrap().success());
}
