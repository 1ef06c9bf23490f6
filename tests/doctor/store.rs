//! Findings about the store's file, its permissions, its disk, its WAL and the configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::mount::Mount;
use crate::support::skip::has_program;
use crate::support::store::Store;
use crate::support::{cli, eventually};
use crate::{
    NEWEST, assert_finding, assert_fixed, assert_ok, filled, findings, run, set_mode, stored_file,
    write_store,
};

#[test]
fn a_good_store_passes_every_check() {
    let store = filled(Store::new_sqlite());
    let report = store.tasktally(["doctor", "--full", "--json"]).success().json();
    let checks: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|found| found["check"].as_str().unwrap()).collect();
    assert_eq!(
        checks,
        [
            "file",
            "permissions",
            "file system",
            "free space",
            "schema",
            "WAL",
            "integrity",
            "runners",
            "batches",
            "claims",
            "leftovers",
            "configuration",
            "clients"
        ]
    );
    assert_eq!(report["message"], "no problems found", "{report}");
    let output = store.tasktally(["doctor"]).success().stdout;
    assert!(!output.contains('\u{1b}') && output.lines().all(|line| line.chars().count() <= 80), "{output}");
}

#[test]
fn a_missing_store_is_reported_and_not_created() {
    let store = Store::new_sqlite();
    let command =
        assert_finding(&store, "file", "problem", &["does not exist", store.file().to_str().unwrap()]);
    assert!(!store.file().parent().unwrap().exists());
    store.tasktally(["doctor"]).code(2);
    run(&store, &command.unwrap());
    assert_ok(&store, "file");
}

#[test]
fn a_file_that_is_no_store_is_reported_and_left_unchanged() {
    let store = write_store(Store::new_sqlite(), "hello\n".repeat(1000));
    assert_finding(&store, "file", "problem", &["not a SQLite file"]);
    let store = write_store(Store::new_sqlite(), "");
    std::fs::remove_file(store.file()).unwrap();
    store
        .sqlite()
        .execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup')")
        .unwrap();
    // SQLite opens what it assert_finding; whose it is only a tasktally asks.
    store.sqlite().execute_batch("PRAGMA user_version = 3").unwrap();
    assert_finding(&store, "file", "problem", &["another program"]);
    // The header of the other database may also be without a version.
    store.sqlite().execute_batch("PRAGMA user_version = 0").unwrap();
    assert_finding(&store, "file", "problem", &["another program"]);
    let (found, refused) =
        (store.tasktally(["doctor"]).code(2), store.tasktally(["list-tasks"]).code(2).output());
    let whole = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let refused = whole(refused.strip_prefix("tasktally: ").unwrap());
    assert!(whole(&found.stdout).contains(&refused), "{refused} is not in {}", found.stdout);
    let store = Store::new_sqlite();
    std::fs::create_dir_all(store.file().join("tasktally.db")).unwrap();
    assert_finding(&store, "file", "problem", &["not a regular file"]);
    let store = write_store(Store::new_sqlite(), "");
    std::fs::remove_file(store.file()).unwrap();
    std::os::unix::fs::symlink("nowhere", store.file()).unwrap();
    assert_finding(&store, "file", "problem", &["nowhere does not exist"]);
    store.tasktally(["doctor"]).code(2);
}

#[test]
fn a_newer_store_is_reported_and_left_unchanged() {
    let store = write_store(Store::new_sqlite(), stored_file(NEWEST));
    store.sqlite().execute_batch("PRAGMA user_version = 99").unwrap();
    let command = assert_finding(&store, "file", "problem", &["newer tasktally", "schema 99"]);
    assert!(command.unwrap().contains("cargo install"));
}

#[test]
fn an_older_store_is_migrated_by_the_next_command_and_not_by_doctor() {
    for schema in 1..NEWEST {
        let store = write_store(Store::new_sqlite(), stored_file(schema));
        assert_fixed(
            &store,
            "schema",
            "warning",
            &[&format!("{schema}; this version migrates the store to {NEWEST}")],
        );
    }
    let store = write_store(Store::new_sqlite(), "");
    // A store that was never created has no finding about its WAL.
    assert_eq!(findings(&store, "WAL", &[]), []);
    assert_fixed(&store, "schema", "warning", &["none yet"]);
}

#[test]
fn a_damaged_file_is_reported_and_its_readable_part_is_rescued() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let ids: Vec<String> = (0..300).map(|n| server.create_task(&format!("Task {n}"))).collect();
    for id in &ids {
        server.call("update_task", json!({"id": id, "body": format!("- of {id} {}", "x".repeat(200))})).ok();
    }
    server.close();
    let mut file = std::fs::read(store.file()).unwrap();
    let root: usize = store
        .sqlite()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'task_by_change'", [], |row| row.get(0))
        .unwrap();
    file[(root - 1) * 4096..root * 4096].fill(0x5a);
    std::fs::write(store.file(), file).unwrap();
    let command = assert_finding(&store, "integrity", "problem", &["the file is damaged"]).unwrap();
    assert_eq!(store.tasktally(["doctor"]).finish().code, Some(1));
    if !has_program("sqlite3") {
        return;
    }
    run(&store, &command);
    let rescued = format!("{}.rescued", store.file().display());
    let once = std::fs::read(&rescued).unwrap();
    let again = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(!again.status.success(), "the second run succeeded");
    assert!(std::fs::read(&rescued).unwrap() == once, "the second run changed the rescued file");
    let next = assert_finding(
        &store,
        "integrity",
        "problem",
        &["tasktally backup", "are lost", ".rescued-2 verify"],
    );
    assert!(next.unwrap().contains(".rescued-2 && "));
    store.tasktally(["--db", &rescued, "doctor", "--full"]).success();
    let listed = store.tasktally(["--db", &rescued, "list-tasks", "--json"]).success().json();
    assert_eq!(listed["total"], 300);
    assert_eq!(store.tasktally(["--db", &rescued, "verify", "--json"]).success().json()["receipts"], 300);

    // Damaged so that it cannot even be opened.
    let mut file = std::fs::read(store.file()).unwrap();
    file[100..4096].fill(0x5a);
    std::fs::write(store.file(), file).unwrap();
    assert_finding(&store, "integrity", "problem", &["malformed"]);
    store.tasktally(["doctor"]).code(1);
}

#[test]
fn a_truncated_file_is_reported_with_the_missing_part_and_rescued() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let ids: Vec<String> = (0..300).map(|n| server.create_task(&format!("Task {n}"))).collect();
    server.close();
    let file = std::fs::File::options().write(true).open(store.file()).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    file.set_len((pages - 3) * 4096 + 100).unwrap();
    let missing = format!("{} of the {pages} pages", pages - 3);
    let words = [missing.as_str(), "tasktally backup", "are lost", ".rescued verify"];
    let command = assert_finding(&store, "integrity", "problem", &words).unwrap();
    store.tasktally(["doctor"]).code(1);
    // With --fix, doctor reports the same.
    let with_fix = findings(&store, "integrity", &["--fix"]);
    assert!(with_fix[0].1.contains(&missing), "{with_fix:?}");
    store.tasktally(["doctor", "--fix"]).code(1);
    if !has_program("sqlite3") {
        return;
    }
    run(&store, &command);
    let rescued = format!("{}.rescued", store.file().display());
    let listed = store.tasktally(["--db", &rescued, "list-tasks", "--json"]).success().json();
    let total = listed["total"].as_u64().unwrap();
    assert!(total > 0 && total <= ids.len() as u64, "{total}");
}

#[test]
fn a_store_that_cannot_be_opened_is_reported_the_same_with_fix_and_nothing_is_created() {
    let same = |store: &Store, code: i32| {
        let of = |args: &[&str]| {
            let mut findings =
                store.tasktally(args).code(code).json()["findings"].as_array().unwrap().clone();
            // The free space changes because other tests use the disk.
            findings.retain(|found| found["check"] != "free space");
            findings
        };
        assert_eq!(of(&["doctor", "--json"]), of(&["doctor", "--fix", "--json"]));
        store.tasktally(["doctor", "--fix"]).code(code);
    };
    let store = Store::new_sqlite();
    same(&store, 2);
    assert!(!store.file().parent().unwrap().exists());
    same(&write_store(Store::new_sqlite(), "hello\n".repeat(1000)), 2);
    let empty = write_store(Store::new_sqlite(), "");
    same(&empty, 0);
    assert_eq!(std::fs::read(empty.file()).unwrap(), b"", "nothing is created");
    let older = write_store(Store::new_sqlite(), stored_file(3));
    same(&older, 0);
    assert_finding(
        &older,
        "schema",
        "warning",
        &[&format!("3; this version migrates the store to {NEWEST}")],
    );
}

#[test]
fn a_forged_receipt_is_found_with_full() {
    let store = write_store(Store::new_sqlite(), stored_file(NEWEST));
    store.forge(|sql| {
        sql.execute_all("UPDATE receipt SET text = 'forged' WHERE number = 3").unwrap();
    });
    assert_ok(&store, "integrity");
    let found = findings(&store, "integrity", &["--full"]);
    assert_eq!(found[0].0, "problem", "{found:?}");
    assert!(found[0].1.contains("receipt 3 is not as it was written"), "{found:?}");
    assert!(found[0].2.as_ref().unwrap().ends_with(" verify"), "{found:?}");
}

#[test]
fn permissions_of_other_users_on_the_store_are_reported_and_removed() {
    let store = filled(Store::new_sqlite());
    let folder = store.file().parent().unwrap().to_owned();
    set_mode(store.file(), 0o644);
    assert_fixed(&store, "permissions", "warning", &["can be read by others (mode 0644)"]);
    set_mode(store.file(), 0o620);
    assert_fixed(&store, "permissions", "problem", &["can be changed by others (mode 0620)"]);
    let mode = std::fs::metadata(store.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    set_mode(&folder, 0o777);
    assert_fixed(&store, "permissions", "problem", &["they can replace the store's file"]);
    set_mode(&folder, 0o1777);
    assert_finding(&store, "permissions", "warning", &["a folder of its own"]);
    set_mode(&folder, 0o700);
    set_mode(Path::new(&format!("{}-lock", store.file().display())), 0o666);
    assert_fixed(&store, "permissions", "problem", &["-lock can be changed by others"]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(store.file(), Some(12_345), None).unwrap();
        let command = assert_finding(&store, "permissions", "problem", &["belongs to user 12345"]).unwrap();
        run(&store, command.strip_prefix("sudo ").unwrap());
        assert_ok(&store, "permissions");
    } else {
        set_mode(store.file(), 0o200);
        assert_fixed(&store, "permissions", "problem", &["cannot be read and written"]);
    }
}

#[test]
fn a_read_only_disk_is_reported() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        return;
    };
    let store = filled(store);
    disk.remount("ro");
    let command = assert_finding(&store, "permissions", "problem", &["is on a read-only disk"]).unwrap();
    assert!(command.starts_with("findmnt"), "{command}");
    assert_ok(&store, "integrity");
    // If nothing can be cleared, doctor still reports everything.
    let with_fix = findings(&store, "fix", &["--fix"]);
    assert!(with_fix[0].0 == "problem" && with_fix[0].1.contains("nothing could be removed"), "{with_fix:?}");
    assert_eq!(findings(&store, "permissions", &["--fix"]), findings(&store, "permissions", &[]));
    disk.remount("rw");
    assert_ok(&store, "permissions");
}

#[test]
fn a_disk_with_little_free_space_is_reported() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        return;
    };
    let store = filled(store);
    let command =
        assert_finding(&store, "free space", "problem", &["less than 64", "writes will soon fail"]).unwrap();
    assert!(run(&store, &command).contains("tasktally.db"), "{command} shows what uses the disk");
    disk.remount("size=128m");
    assert_finding(&store, "free space", "warning", &["limits.min_free_disk_mb = 512: no worker is started"]);
    disk.remount("size=600m");
    assert_ok(&store, "free space");
}

/// Leaves a WAL of 70 MiB without a checkpoint.
fn write_large_wal(store: &Store) {
    let sql = store.sqlite();
    sql.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    sql.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    let insert =
        "INSERT INTO stored_response VALUES (hex(randomblob(8)), 'x', x'00', printf('%.1000000c', 'x'), 0)";
    for _ in 0..70 {
        sql.execute(insert, []).unwrap();
    }
}

#[test]
fn a_wal_that_is_not_checkpointed_is_reported_with_the_process_that_reads_it() {
    let store = filled(Store::new_sqlite());
    write_large_wal(&store);
    assert_fixed(&store, "WAL", "warning", &["MiB are not checkpointed", "no process has the store open"]);
    let log = format!("{}-wal", store.file().display());
    assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0, "the WAL was checkpointed");

    // Another program with an open read transaction.
    let mut reader = Command::new("sqlite3");
    reader.arg(store.file()).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    if !has_program("sqlite3") {
        return;
    }
    let mut reader = reader.spawn().unwrap();
    use std::io::Write as _;
    let input = reader.stdin.as_mut().unwrap();
    input.write_all(b"BEGIN; SELECT count(*) FROM task;\n").unwrap();
    let held = || Path::new(&format!("{}-shm", store.file().display())).exists().then_some(());
    eventually("the reader to have the store open", held);
    write_large_wal(&store);
    let named = format!("sqlite3 (process {})", reader.id());
    let command =
        assert_finding(&store, "WAL", "warning", &["because a process reads the store", &named]).unwrap();
    assert_eq!(command, format!("kill {}", reader.id()));
    run(&store, &command);
    reader.wait().unwrap();
    assert_fixed(&store, "WAL", "warning", &["no process has the store open"]);
}

#[test]
fn a_store_without_wal_mode_is_reported() {
    let store = filled(Store::new_sqlite());
    store.sqlite().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    assert_fixed(&store, "WAL", "warning", &["does not use a WAL"]);
}

#[test]
fn errors_in_the_configuration_are_reported() {
    let store = filled(Store::new_sqlite().with_config("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n"));
    assert_ok(&store, "configuration");
    let write = |text: &str| std::fs::write(store.config(), text).unwrap();
    write("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\ntimeout_s = 0\n");
    let edit =
        assert_finding(&store, "configuration", "problem", &["worker.w.timeout_s = 0", ":4: "]).unwrap();
    assert!(edit.starts_with("${EDITOR:-vi} ") && edit.contains("config.toml"), "{edit}");
    store.tasktally(["doctor"]).code(2);
    write("[worker.w]\nper = \"item\"\ncommand = [\"no-such-program-7\"]\n");
    let check = assert_finding(
        &store,
        "configuration",
        "problem",
        &["profile 'w' cannot be started", "no-such-program-7"],
    );
    assert!(check.unwrap().ends_with("config check"));
    write("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n");
    set_mode(&store.config(), 0o666);
    assert_ok(&store, "permissions");
    assert_fixed(&store, "configuration", "problem", &["others could choose the commands that workers run"]);
    let folder = store.config().parent().unwrap().to_owned();
    set_mode(&folder, 0o770);
    assert_fixed(&store, "configuration", "problem", &["can be written to by its group"]);
}

#[test]
fn commands_quote_the_path_of_the_store_for_a_shell() {
    let store = Store::new_sqlite().at("my store's/tasktally.db");
    let command = assert_finding(&store, "file", "problem", &["does not exist"]).unwrap();
    run(&store, &command);
    assert_ok(&store, "file");
    assert!(store.file().exists());
}

#[test]
fn doctor_refuses_to_run_for_a_worker() {
    let store = filled(Store::new_sqlite());
    let mut command = store.command();
    command.env("TASKTALLY_JOB", "x.01:tok");
    cli::Run::new(command, ["doctor"]).code(2);
}

#[test]
fn servers_of_clients_that_see_all_projects_are_named() {
    let store = filled(Store::new_sqlite());
    assert_ok(&store, "clients");
    for (client, file) in
        [("claude-code", ".mcp.json"), ("cursor", ".cursor/mcp.json"), ("zed", ".zed/settings.json")]
    {
        store.tasktally(["init", client, "--write", "--all-projects"]).success();
        assert_fixed(&store, "clients", "warning", &[file, "sees and changes the tasks of all projects"]);
        assert!(std::fs::read_to_string(store.folder().join(file)).unwrap().contains("\"--project\""));
    }
    // A file of the user serves all projects of the user: that is no fault, and doctor says so.
    std::fs::create_dir_all(store.home()).unwrap();
    store.tasktally(["init", "codex", "--scope", "user", "--write"]).success();
    let found = findings(&store, "clients", &[]);
    let [(level, message, fix)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((level.as_str(), fix), ("ok", &None), "{message}");
    assert!(
        message.contains("config.toml")
            && message.contains("all projects; tasktally init codex --scope user"),
        "{message}"
    );
    store.tasktally(["init", "codex", "--scope", "user", "--project", "mail", "--write"]).success();
    let found = findings(&store, "clients", &[]);
    assert!(found[0].1.contains("limited to a project"), "{found:?}");
}
