//! What the database refuses: the caller is told why, nothing is half done, and the same server works again once the cause
//! is removed.

use std::process::Stdio;

use serde_json::{Value, json};
use tasktally::store::postgres::SCHEMA_VERSION;

use crate::patient_client::{LOCK_STORE, receipts};
use crate::support::postgres::Cluster;
use crate::support::server::Server;
use crate::support::sql::Sql;
use crate::support::store::Store;

const UNLOCK: &str = "SELECT pg_advisory_unlock_all()";

/// A store with a server and a task with one receipt.
struct Case {
    store: Store,
    server: Server,
    task: String,
    sql: Sql,
}

impl Case {
    fn new(store: Store) -> Self {
        let mut server = store.serve();
        let task = server.create_task("Task");
        server.call("update_task", json!({"id": task, "body": "- before"})).ok();
        let sql = store.sql();
        Case { store, server, task, sql }
    }

    /// Runs statements of the owner. If they change settings of the role, ends all connections of `tasktally`: new ones
    /// have the settings.
    fn run(&self, statements: &str) {
        let name = self.store.database().name();
        self.sql.execute_all(&statements.replace("{database}", name)).unwrap();
        if !statements.contains("ALTER ROLE") {
            return;
        }
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'tasktally'";
        self.sql.execute_all(others).unwrap();
    }

    /// A write that is refused with this code and these words, and then works, after `remove` has removed the cause.
    fn refused(mut self, code: &str, words: &[&str], remove: &str) {
        let receipt = json!({"id": self.task, "body": "- refused", "request_key": "k"});
        self.assert_refused("update_task", receipt.clone(), code, words);
        // A batch is several rows in several tables.
        let plan = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "command": null});
        let batch = self.server.call("create_batch", plan);
        assert!(batch.succeeded() || batch.code() == code, "{}", batch.value);
        self.run(remove);
        assert_eq!(receipts(&self.store.sql(), &self.task), ["- before"]);
        self.server.call("update_task", receipt).ok();
        assert_eq!(receipts(&self.store.sql(), &self.task), ["- before", "- refused"]);
        self.server.read_task(&self.task);
        self.store.tasktally(["verify"]).success();
    }

    #[track_caller]
    fn assert_refused(&mut self, tool: &str, arguments: Value, code: &str, words: &[&str]) {
        let reply = self.server.call(tool, arguments);
        println!("{tool}: {}: {}", reply.code(), reply.message());
        assert_eq!(reply.refusal(), code, "{}", reply.value);
        for word in words {
            assert!(reply.message().contains(word), "'{word}' is not in {}", reply.message());
        }
    }
}

#[test]
fn a_write_that_waits_longer_than_a_timeout_of_the_role_is_refused_as_busy() {
    for timeout in ["statement_timeout", "lock_timeout"] {
        let Some(store) = Store::new_postgres() else { return };
        let case = Case::new(store);
        case.run(&format!("ALTER ROLE tasktally IN DATABASE {{database}} SET {timeout} = '300ms'"));
        case.sql.execute_all(LOCK_STORE).unwrap();
        let words = ["gave up waiting", "nothing was changed", timeout.split('_').next().unwrap(), "timeout"];
        // The timeout stays. Only the lock is released.
        case.refused("busy", &words, UNLOCK);
    }
}

#[test]
fn a_role_that_may_only_read_reads_and_its_writes_are_refused_at_once() {
    let Some(store) = Store::new_postgres() else { return };
    let mut case = Case::new(store);
    case.run("ALTER ROLE tasktally IN DATABASE {database} SET default_transaction_read_only = on");
    let task = case.task.clone();
    case.server.read_task(&task);
    let words = [
        "accepts no writes",
        "read-only transaction",
        "nothing was changed",
        "default_transaction_read_only",
    ];
    case.refused(
        "read_only",
        &words,
        "SET default_transaction_read_only = off;
         ALTER ROLE tasktally IN DATABASE {database} RESET default_transaction_read_only",
    );
}

#[test]
fn a_missing_right_is_named() {
    let Some(store) = Store::new_postgres() else { return };
    let case = Case::new(store);
    case.run("REVOKE INSERT ON receipt FROM tasktally");
    case.refused(
        "read_only",
        &["lacks a right", "permission denied for table receipt", "tasktally db schema"],
        "GRANT INSERT ON receipt TO tasktally",
    );
}

#[test]
fn a_missing_table_is_named() {
    let Some(store) = Store::new_postgres() else { return };
    let mut case = Case::new(store);
    case.run("ALTER TABLE receipt RENAME TO gone; ALTER TABLE stored_response RENAME TO gone_too");
    let (task, words) = (case.task.clone(), ["not those of a store", "\"receipt\" does not exist"]);
    case.assert_refused("get_task", json!({"id": task}), "internal", &words);
    case.run("ALTER TABLE gone RENAME TO receipt");
    case.server.read_task(&task);
    case.refused(
        "internal",
        &["not those of a store", "stored_response", "search_path", "tasktally doctor"],
        "ALTER TABLE gone_too RENAME TO stored_response",
    );
}

#[test]
fn a_dropped_store_is_refused() {
    let Some(store) = Store::new_postgres() else { return };
    let mut case = Case::new(store);
    case.run("DROP TABLE receipt CASCADE");
    let words = ["not those of a store", "\"receipt\" does not exist"];
    let task = case.task.clone();
    case.assert_refused("get_task", json!({"id": task}), "internal", &words);
    case.assert_refused("update_task", json!({"id": task, "body": "- x"}), "internal", &words);
    case.run("DROP SCHEMA public CASCADE");
    case.assert_refused(
        "update_task",
        json!({"id": task, "body": "- x"}),
        "internal",
        &["not those of a store"],
    );
}

#[test]
fn a_newer_schema_is_refused_by_running_and_by_new_processes() {
    let Some(store) = Store::new_postgres() else { return };
    let mut case = Case::new(store);
    case.run("UPDATE schema_version SET version = 99");
    let words = ["schema 99", "nothing was done", "Update tasktally"];
    let task = case.task.clone();
    case.assert_refused("get_task", json!({"id": task}), "store_newer", &words);
    let ran = case.store.tasktally(["list-tasks"]).finish();
    println!("list-tasks: {}", ran.output());
    assert_ne!(ran.code, Some(0));
    assert!(words.iter().all(|word| ran.output().contains(word)), "{}", ran.output());
    let restore = format!("UPDATE schema_version SET version = {SCHEMA_VERSION}");
    case.refused("store_newer", &words, &restore);
}

/// Runs a command with another address. Returns its exit code and what it wrote.
fn list_tasks_of(store: &Store, url: &str) -> (Option<i32>, String) {
    let mut command = store.command();
    command.env("TASKTALLY_DB", url);
    let ran = crate::support::cli::Run::new(command, ["list-tasks"]).finish();
    println!("list-tasks: {:?} {}", ran.code, ran.output());
    (ran.code, ran.output())
}

#[test]
fn a_wrong_database_and_a_wrong_user_are_refused_at_once() {
    let Some(store) = Store::new_postgres() else { return };
    let (url, name) = (store.url(), store.database().name());
    let started = std::time::Instant::now();
    let (code, output) = list_tasks_of(&store, &url.replace(name, "no_such_database"));
    assert_ne!(code, Some(0));
    assert!(
        output.contains("database \"no_such_database\" does not exist") && output.contains("createdb"),
        "{output}"
    );
    let (code, output) = list_tasks_of(&store, &url.replace("tasktally@", "nobody@"));
    assert_ne!(code, Some(0));
    assert!(
        output.contains("role \"nobody\" does not exist") && output.contains("check the user"),
        "{output}"
    );
    assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
}

#[test]
fn without_a_database_server_calls_fail_with_its_address_and_succeed_once_it_runs() {
    let Some(cluster) = Cluster::durable() else { return };
    let mut case = Case::new(Store::in_database(cluster.create_database()));
    cluster.kill();
    let address = cluster.folder().to_str().unwrap().to_owned();
    let words = [address.as_str(), "cannot be reached", "check the address"];
    let write = case.server.send("update_task", json!({"id": case.task, "body": "- while it is down"}));
    let task = case.task.clone();
    let mut list = case.store.command();
    list.arg("list-tasks").stdout(Stdio::piped()).stderr(Stdio::piped());
    let list = list.spawn().unwrap();
    case.assert_refused("get_task", json!({"id": task}), "busy", &words);
    let list = list.wait_with_output().unwrap();
    let (code, output) = (list.status.code(), String::from_utf8(list.stderr).unwrap());
    assert_ne!(code, Some(0));
    assert!(words.iter().all(|word| output.contains(word)), "{output}");
    // A write waits for 30 s, and is never carried out later.
    let reply = case.server.recv(write).unwrap();
    println!("update_task: {}: {}", reply.code(), reply.message());
    assert_eq!(reply.refusal(), "busy");
    let words = ["nothing was written", address.as_str(), "cannot be reached"];
    assert!(words.iter().all(|word| reply.message().contains(word)), "{}", reply.value);
    cluster.start();
    case.server.call("update_task", json!({"id": task, "body": "- after"})).ok();
    assert_eq!(receipts(&case.store.sql(), &task), ["- before", "- after"]);
}
