//! The test cluster itself: databases of their own, kills, pauses, and its end with the test process.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::postgres::{Cluster, is_alive};
use crate::support::skip::has_program;
use crate::support::sql::{Sql, numbered};
use crate::support::store::Store;
use crate::support::values::Value;
use crate::support::{eventually, send_signal};

#[test]
fn each_store_has_a_database_of_its_own_that_is_dropped_with_it() {
    let (Some(one), Some(other)) = (Store::new_postgres(), Store::new_postgres()) else { return };
    assert_ne!(one.url(), other.url());
    for (store, text) in [(&one, "one"), (&other, "other")] {
        let sql = store.sql();
        sql.execute_all("CREATE TABLE note (id bigint PRIMARY KEY, late bigint, text text, hash bytea)")
            .unwrap();
        let insert = "INSERT INTO note VALUES (?1, ?2, ?3 || '?1', ?4)";
        assert_eq!(sql.execute(insert, &[&7, &Some(1), &text, &[1_u8, 2]]), Ok(1));
        assert_eq!(sql.execute(insert, &[&8, &None::<i64>, &text, &[3_u8; 32]]), Ok(1));
    }
    let sql = other.sql();
    assert_eq!(sql.tables(), ["note"]);
    let rows = sql.rows::<(i64, Option<u64>, String, Vec<u8>)>("SELECT * FROM note ORDER BY id LIMIT 1", &[]);
    assert_eq!(rows, [(7, Some(1), "other?1".to_owned(), vec![1, 2])]);
    assert_eq!(sql.row::<i64>("SELECT sum(id) * -1000000 FROM note", &[]), -15_000_000);
    assert_eq!(
        sql.row::<Vec<Value>>("SELECT late IS NULL, 0.5::float8 FROM note WHERE id = ?1", &[&8]),
        [Value::Integer(1), Value::Real(0.5)]
    );
    let refused = sql.execute("INSERT INTO note (id) VALUES (7)", &[]).unwrap_err();
    assert!(refused.contains("duplicate key value"), "{refused}");
    assert_eq!(sql.execute_all("UPDATE note SET late = 2; DELETE FROM note WHERE id = 8"), Ok(3));

    let databases = || Cluster::shared().unwrap().databases();
    let name = one.database().name().to_owned();
    assert!(databases().contains(&name));
    drop(one);
    assert!(!databases().contains(&name), "{name} is left");
}

#[test]
fn a_forger_changes_what_triggers_protect() {
    let Some(store) = Store::new_postgres() else { return };
    store.sql().execute_all(
        "CREATE TABLE receipt (text text);
         INSERT INTO receipt VALUES ('as written');
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''a receipt is never changed''; END';
         CREATE TRIGGER receipt_never_changes BEFORE UPDATE ON receipt FOR EACH ROW EXECUTE FUNCTION refuse();",
    ).unwrap();
    let forged = "UPDATE receipt SET text = 'forged'";
    let refused = store.sql().execute(forged, &[]).unwrap_err();
    assert!(refused.contains("a receipt is never changed"), "{refused}");
    store.forge(|sql| assert_eq!(sql.execute(forged, &[]), Ok(1)));
    assert_eq!(store.sql().row::<String>("SELECT text FROM receipt", &[]), "forged");
    assert!(store.sql().execute(forged, &[]).is_err(), "the trigger is gone");
}

#[test]
fn the_url_names_the_same_database_for_psql() {
    let Some(store) = Store::new_postgres() else { return };
    if !has_program("psql") {
        return;
    }
    let mut psql = Command::new("psql");
    psql.args([store.url(), "-XAtc", "SELECT current_user || ' ' || current_database()"]);
    let output = psql.output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert_eq!(answer.trim(), format!("tasktally {}", store.database().name()), "{output:?}");
}

#[test]
fn a_durable_cluster_keeps_what_was_committed_before_a_kill() {
    let Some(cluster) = Cluster::durable() else { return };
    for durable in ["fsync", "full_page_writes", "synchronous_commit"] {
        assert_eq!(cluster.settings()[durable], "on", "{durable}");
    }
    let store = Store::in_database(cluster.create_database());
    let sql = store.sql();
    sql.execute_all("CREATE TABLE note (text text)").unwrap();
    let insert = |sql: &Sql, text: &str| sql.execute("INSERT INTO note VALUES (?1)", &[&text]);
    insert(&sql, "before the first kill").unwrap();

    let first = cluster.postmaster();
    cluster.kill();
    assert!(insert(&sql, "while it is down").is_err());
    cluster.start();
    assert_ne!(cluster.postmaster(), first);
    let sql = store.sql();
    insert(&sql, "after the restart").unwrap();

    // The postmaster ends every backend when one is killed, recovers and accepts connections again.
    cluster.kill_backend(store.database().backends()[0]);
    assert!(insert(&sql, "after the kill of its backend").is_err());
    cluster.wait_until_ready();
    let texts = store.sql().rows::<String>("SELECT text FROM note ORDER BY text", &[]);
    assert_eq!(texts, ["after the restart", "before the first kill"]);

    // A paused cluster answers once it continues.
    cluster.pause();
    let (sender, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(insert(&store.sql(), "while it is paused")).unwrap());
        assert!(answers.recv_timeout(Duration::from_millis(300)).is_err(), "an answer from a paused cluster");
        cluster.resume();
        assert_eq!(answers.recv(), Ok(Ok(1)));
    });
    cluster.pause();
    cluster.kill();
    cluster.start();
    assert_eq!(store.sql().row::<u64>("SELECT count(*) FROM note", &[]), 3);
}

/// A cluster outside of this process for the test below, which starts this test binary again.
#[test]
#[ignore = "started by the next test"]
fn a_process_with_a_cluster() {
    let Some(store) = Store::new_postgres() else { return };
    println!(
        "\n{}\t{}",
        store.database().cluster().folder().display(),
        store.database().cluster().postmaster()
    );
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn a_cluster_ends_with_a_killed_test_process_and_leaves_nothing() {
    if Cluster::shared().is_none() {
        return;
    }
    for pausing in [false, true] {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--ignored", "--exact", "--nocapture", "cluster::a_process_with_a_cluster"]);
        let mut process = process.stdout(Stdio::piped()).spawn().unwrap();
        let output = std::io::BufReader::new(process.stdout.take().unwrap());
        let line =
            std::io::BufRead::lines(output).map(Result::unwrap).find(|line| line.contains('\t')).unwrap();
        let (folder, postmaster) = line.split_once('\t').unwrap();
        let (folder, postmaster): (PathBuf, u32) = (folder.into(), postmaster.parse().unwrap());
        assert!(folder.is_dir());
        if pausing {
            send_signal("STOP", postmaster);
        }
        process.kill().unwrap();
        process.wait().unwrap();
        eventually("the folder to be deleted", || (!folder.exists()).then_some(()));
        // It is gone once its new parent has waited for it.
        eventually("the postmaster to end", || (!is_alive(postmaster)).then_some(()));
    }
}

#[test]
fn parameters_are_numbered_as_postgresql_writes_them() {
    for (written, expected) in [
        ("SELECT ?1 + ?2, ?1", "SELECT $1 + $2, $1"),
        ("SELECT '?1', ?12", "SELECT '?1', $12"),
        ("SELECT 'it''s ?1' || ?1", "SELECT 'it''s ?1' || $1"),
        ("SELECT a ? b", "SELECT a ? b"),
    ] {
        assert_eq!(numbered(written), expected);
    }
}
