//! `tasktally doctor`, `backup` and `db schema` for a store in PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tasktally::store::postgres::SCHEMA_VERSION;

use crate::support::postgres::Cluster;
use crate::support::store::Store;

/// The findings by check: level, message, command.
fn findings(store: &Store, args: &[&str]) -> BTreeMap<String, Vec<(String, String, String)>> {
    let ran = store.tasktally(["doctor", "--json"].iter().chain(args)).finish();
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for finding in ran.json()["findings"].as_array().unwrap() {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        found.entry(text("check")).or_default().push((text("level"), text("message"), text("fix")));
    }
    found
}

/// The only finding of a check.
#[track_caller]
fn only(found: &BTreeMap<String, Vec<(String, String, String)>>, check: &str) -> (String, String, String) {
    let of = found.get(check).unwrap_or_else(|| panic!("no {check} in {found:?}"));
    assert_eq!(of.len(), 1, "{of:?}");
    of[0].clone()
}

#[test]
fn a_durable_database_has_no_problems() {
    let Some(cluster) = Cluster::durable() else { return };
    let store = Store::in_database(cluster.create_database());
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a"]});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (id, token) = (claim.text("/task/id"), &claim["claim"]["token"]);
    server.call("update_task", json!({"id": id, "claim": token, "item": "a", "outcome": "done"})).ok();
    let before = store.tasktally(["export"]).success().stdout;

    let found = findings(&store, &["--full"]);
    for (check, all) in &found {
        assert!(all.iter().all(|(level, ..)| level == "ok"), "{check}: {all:?}");
    }
    for (check, text) in [
        ("database", "PostgreSQL 1"),
        ("database", "which answers within "),
        ("schema", &format!("{SCHEMA_VERSION}, the newest")),
        ("permissions", "may read and write all tables"),
        ("connections", " of 297 are in use"),
        ("durability", "are on"),
        ("standbys", "none is connected"),
        ("size", "the largest table is "),
        ("integrity", "1 receipt of 2 tasks is unchanged"),
        ("batches", "1 open, none needs you"),
        ("claims", "none has expired"),
        ("leftovers", "nothing"),
        ("runners", "0 on record"),
    ] {
        let (_, message, _) = only(&found, check);
        assert!(message.contains(text), "{check}: {message}");
    }
    store.expire_claim(&id);
    store.sql().execute("ALTER ROLE tasktally SET synchronous_commit = off", &[]).unwrap();
    let found = findings(&store, &[]);
    assert_eq!(only(&found, "claims").0, "warning");
    let (level, message, fix) = only(&found, "durability");
    assert_eq!(level, "warning");
    assert!(message.starts_with("synchronous_commit is off") && fix.starts_with("psql "), "{message} {fix}");
    let lines = |text: &str| text.lines().count();
    assert_eq!(
        lines(&store.tasktally(["export"]).success().stdout),
        lines(&before),
        "doctor changed the store"
    );

    store.forge(|sql| assert_eq!(sql.execute("UPDATE chunk SET items_done = 0", &[]), Ok(1)));
    assert_eq!(only(&findings(&store, &[]), "integrity").0, "ok");
    let (level, message, _) = only(&findings(&store, &["--full"]), "integrity");
    assert_eq!(level, "problem", "{message}");
}

#[test]
fn settings_that_lose_acknowledged_writes_are_named() {
    // The shared cluster has fast settings.
    let Some(store) = Store::new_postgres() else { return };
    store.create();
    let found = findings(&store, &[]);
    let durability: Vec<&str> =
        found["durability"].iter().map(|(_, message, _)| message.split(' ').next().unwrap()).collect();
    assert_eq!(durability, ["fsync", "full_page_writes"]);
    assert!(found["durability"].iter().all(|(level, ..)| level == "warning"));
}

#[test]
fn a_database_without_a_store_and_one_that_is_gone_are_problems() {
    let Some(store) = Store::new_postgres() else { return };
    let found = findings(&store, &[]);
    assert_eq!(only(&found, "database").0, "ok");
    let (level, message, _) = only(&found, "schema");
    assert_eq!(level, "problem");
    assert!(message.contains("the database has no store"), "{message}");
    assert_eq!(store.sql().tables(), [""; 0], "doctor created tables");
    let data = store.home().join(".local/share");
    assert!(!data.exists(), "doctor created a folder");

    let missing = format!("{}_missing", store.url());
    let ran = store.tasktally(["--db", &missing, "doctor", "--json"]).code(2).json();
    let first: &Value = &ran["findings"][0];
    assert_eq!((first["check"].as_str(), first["level"].as_str()), (Some("database"), Some("problem")));
    assert!(first["message"].as_str().unwrap().contains("does not exist"), "{first}");
}

#[test]
fn a_backup_names_the_programs_of_postgresql() {
    let Some(store) = Store::new_postgres() else { return };
    store.create();
    let refused = store.tasktally(["backup", "kept.dump"]).code(2).output();
    for text in ["pg_dump --format=custom --file=kept.dump", "export kept.dump", store.url()] {
        assert!(refused.contains(text), "{refused}");
    }
}

#[test]
fn a_role_with_the_printed_rights_works_in_tables_that_an_administrator_created() {
    let Some(store) = Store::new_postgres() else { return };
    let sql = store.tasktally(["db", "schema"]).success().stdout;
    assert_eq!(store.sql().tables(), [""; 0]);
    let admin = store.database().sql_without_triggers();
    let name = format!("app_{}", store.database().name());
    admin.execute_all(&format!("CREATE ROLE {name} LOGIN")).unwrap();
    admin.execute_all(&sql).unwrap();
    let worker = Store::new_sqlite();
    let url = store.url().replace("tasktally@", &format!("{name}@"));
    let run = |args: &[&str]| {
        let mut all = vec!["--db", url.as_str()];
        all.extend(args);
        worker.tasktally(all)
    };
    let refused = run(&["doctor", "--json"]).finish().stdout;
    assert!(refused.contains("denied") || refused.contains("right"), "{refused}");
    let grants: String = sql
        .lines()
        .filter_map(|line| line.strip_prefix("-- "))
        .filter(|line| line.starts_with("GRANT ") || line.starts_with("REVOKE "))
        .map(|line| line.replace("tasktally_app", &name))
        .collect();
    assert_eq!(grants.matches(';').count(), 3, "{grants}");
    admin.execute_all(&grants).unwrap();

    let made = run(&["create-task", "--task-title", "By the role", "--json"]).success().json();
    let id = made["id"].as_str().or(made["task"]["id"].as_str()).unwrap().to_owned();
    run(&["update-task", &id, "--body", "- a receipt"]).success();
    run(&["verify"]).success();
    let found = run(&["doctor", "--json"]).finish().json();
    let rights = found["findings"].as_array().unwrap().iter().find(|one| one["check"] == "permissions");
    assert_eq!(rights.unwrap()["level"], "ok", "{found}");
    let mut granted = admin.rows::<String>(
        "SELECT privilege_type::text FROM information_schema.role_table_grants WHERE grantee = ?1 AND table_name = 'receipt'",
        &[&name],
    );
    granted.sort();
    assert_eq!(granted, ["INSERT", "SELECT"]);
    admin.execute_all(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).unwrap();
}
