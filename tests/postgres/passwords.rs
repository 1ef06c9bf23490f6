//! The sources of the password, and the places in which it must not appear.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::support::cli::Run;
use crate::support::postgres::Cluster;
use crate::support::store::Store;

const PASSWORD: &str = "open-sesame";
const ONLY_PASSWORDS: &str = "host all all 0.0.0.0/0 scram-sha-256";

/// A cluster that asks for a password.
struct Case {
    cluster: Arc<Cluster>,
    address: String,
}

impl Case {
    #[track_caller]
    fn new() -> Option<Self> {
        let (cluster, address) = Cluster::on_network(ONLY_PASSWORDS)?;
        let case = Case { cluster, address };
        case.set_password(PASSWORD);
        Some(case)
    }

    fn set_password(&self, password: &str) {
        self.cluster.run(&format!("ALTER ROLE tasktally PASSWORD '{password}'"));
    }

    fn store(&self) -> Store {
        let database = self.cluster.create_database();
        let url = format!("postgres://tasktally@{}/{}", self.address, database.name());
        Store::in_database(database.with_url(url))
    }

    /// A store whose password a script prints: the content of the file `token` beside it. The script also writes down how it
    /// was called.
    fn store_with_command(&self) -> (Store, PathBuf) {
        let mut folder = PathBuf::new();
        let store = self.store().with_config_and_program(|beside| {
            folder = beside.to_owned();
            write_script(
                beside,
                "echo \"$PGUSER@$PGHOST:$PGPORT $1\" >> \"$folder/calls\"; cat \"$folder/token\"",
            );
            format!("[database]\npassword_command = [{:?}, \"two words\"]\n", beside.join("password"))
        });
        std::fs::write(folder.join("token"), format!("{PASSWORD}\n")).unwrap();
        (store, folder)
    }
}

fn write_script(folder: &Path, body: &str) {
    let script = folder.join("password");
    std::fs::write(&script, format!("#!/bin/sh\nfolder={folder:?}\n{body}\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// What every user of the machine, or a log, may show of a process.
fn shown(pid: u32) -> String {
    let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    [read("cmdline"), read("environ")].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n")
}

#[test]
fn a_command_prints_the_password_for_each_new_connection() {
    let Some(case) = Case::new() else { return };
    let (store, folder) = case.store_with_command();
    let log = store.folder().join("server.log");
    let mut command = store.command();
    command.arg("serve").env("TASKTALLY_LOG", "trace").stderr(std::fs::File::create(&log).unwrap());
    let mut server = crate::support::server::Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    let task = server.create_task("Task");
    let calls = || std::fs::read_to_string(folder.join("calls")).unwrap_or_default();
    let before = calls();
    let expected = format!("tasktally@{}:5432 two words", case.address);
    assert!(!before.is_empty() && before.lines().all(|line| line == expected), "{before}");
    // A token that ends: the next connection gets the next one.
    case.set_password("second-token");
    std::fs::write(folder.join("token"), "second-token").unwrap();
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tasktally'";
    assert!(case.cluster.sql().row::<u64>(ended, &[]) > 0);
    server.call("update_task", json!({"id": task, "body": "- after the first token"})).ok();
    server.read_task(&task);
    assert!(calls().len() > before.len());
    // Nothing shows a token.
    let shown = shown(server.pid()) + &std::fs::read_to_string(&log).unwrap() + &calls();
    let doctor = store.tasktally(["doctor"]).finish().output();
    for token in [PASSWORD, "second-token"] {
        assert!(!shown.contains(token) && !doctor.contains(token), "{shown}\n{doctor}");
    }
}

#[test]
fn a_command_that_fails_is_named_and_nothing_that_it_printed_is_shown() {
    let Some(case) = Case::new() else { return };
    let (store, folder) = case.store_with_command();
    let list = || {
        let ran = store.tasktally(["list-tasks"]).finish();
        println!("{}", ran.output());
        assert!(!ran.output().contains("secret"), "{}", ran.output());
        (ran.code, ran.output())
    };
    for (body, words) in [
        ("echo secret; echo secret >&2; exit 3", "exit status: 3"),
        ("exit 0", "printed no password"),
        ("printf '\\nsecret\\n'", "printed no password"),
        ("kill -9 $$", "signal: 9"),
        ("echo wrong-secret", "password authentication failed"),
    ] {
        write_script(&folder, body);
        let (code, output) = list();
        assert!(code != Some(0) && output.contains(words) && output.contains("password_command"), "{output}");
    }
    std::fs::remove_file(folder.join("password")).unwrap();
    let (code, output) = list();
    assert!(code != Some(0) && output.contains("[database] password_command"), "{output}");
    // Others could choose what it prints, and what runs.
    write_script(&folder, "cat \"$folder/token\"");
    assert_eq!(list().0, Some(0));
    std::fs::set_permissions(folder.join("password"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (code, output) = list();
    assert!(code != Some(0) && output.contains("chmod o-w"), "{output}");
}

#[test]
fn a_file_and_a_variable_have_the_password_and_an_address_must_not() {
    let Some(case) = Case::new() else { return };
    let store = case.store();
    let run = |name: &str, value: &str| {
        let mut command = store.command();
        command.env(name, value);
        let ran = Run::new(command, ["list-tasks"]).finish();
        assert!(!ran.output().contains(PASSWORD), "{}", ran.output());
        (ran.code, ran.output())
    };
    let (code, output) = run("LANG", "C");
    assert!(code != Some(0) && output.contains("password"), "{output}");
    assert_eq!(run("PGPASSWORD", PASSWORD).0, Some(0));
    let file = store.write("pass", format!("{}:5432:*:tasktally:{PASSWORD}\n", case.address));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run("PGPASSFILE", file.to_str().unwrap()).0, Some(0));
    for parameters in ["", "?sslmode=verify-full", "?sslmode=%FF"] {
        let url = store.url().replace("tasktally@", &format!("tasktally:{PASSWORD}@")) + parameters;
        let (code, output) = run("TASKTALLY_DB", &url);
        assert!(code != Some(0) && output.contains("contains a password"), "{parameters}: {output}");
    }
}
