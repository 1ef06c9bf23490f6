//! The store's file, who may use it, the disk beneath, and the configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::mount::Mount;
use crate::support::store::Store;
use crate::support::{cli, eventually};
use crate::{all_well, filled, finds, kept, look_with, mended, placed, run, set_mode};

#[test]
fn a_store_in_order_is_well_in_every_respect() {
    let store = filled(Store::new());
    let told = store.tasktally(["doctor", "--full", "--json"]).success().json();
    let checks: Vec<&str> =
        told["findings"].as_array().unwrap().iter().map(|found| found["check"].as_str().unwrap()).collect();
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
            "configuration"
        ]
    );
    assert_eq!(told["message"], "no problems found", "{told}");
    let said = store.tasktally(["doctor"]).success().stdout;
    assert!(!said.contains('\u{1b}') && said.lines().all(|line| line.chars().count() <= 80), "{said}");
}

#[test]
fn a_store_that_is_not_there_is_told_and_not_made() {
    let store = Store::new();
    let command = finds(&store, "file", "problem", &["does not exist", store.file().to_str().unwrap()]);
    assert!(!store.file().parent().unwrap().exists());
    store.tasktally(["doctor"]).code(2);
    run(&store, &command.unwrap());
    all_well(&store, "file");
}

#[test]
fn what_is_no_store_is_told_and_left_alone() {
    let store = placed(Store::new(), "hello\n".repeat(1000));
    finds(&store, "file", "problem", &["not a SQLite file"]);
    let store = placed(Store::new(), "");
    std::fs::remove_file(store.file()).unwrap();
    store.sql().execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup')").unwrap();
    // SQLite opens what it finds; whose it is only a tasktally asks.
    store.sql().execute_batch("PRAGMA user_version = 3").unwrap();
    finds(&store, "file", "problem", &["another program"]);
    // Nor need it have said so in its header.
    store.sql().execute_batch("PRAGMA user_version = 0").unwrap();
    finds(&store, "file", "problem", &["another program"]);
    let (found, refused) =
        (store.tasktally(["doctor"]).code(2), store.tasktally(["list-tasks"]).code(2).said());
    let whole = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let refused = whole(refused.strip_prefix("tasktally: ").unwrap());
    assert!(whole(&found.stdout).contains(&refused), "{refused} is not in {}", found.stdout);
    let store = Store::new();
    std::fs::create_dir_all(store.file().join("tasktally.db")).unwrap();
    finds(&store, "file", "problem", &["not a regular file"]);
    let store = placed(Store::new(), "");
    std::fs::remove_file(store.file()).unwrap();
    std::os::unix::fs::symlink("nowhere", store.file()).unwrap();
    finds(&store, "file", "problem", &["cannot be read"]);
    store.tasktally(["doctor"]).code(2);
}

#[test]
fn a_newer_store_is_told_and_left_alone() {
    let store = placed(Store::new(), kept(8));
    store.sql().execute_batch("PRAGMA user_version = 99").unwrap();
    let command = finds(&store, "file", "problem", &["newer tasktally", "schema 99"]);
    assert!(command.unwrap().contains("cargo install"));
}

#[test]
fn an_older_store_is_brought_up_to_date_by_the_next_command_not_by_doctor() {
    for schema in 1..8 {
        let store = placed(Store::new(), kept(schema));
        mended(&store, "schema", "warning", &[&format!("{schema}; this version migrates the store to 8")]);
    }
    let store = placed(Store::new(), "");
    // Nobody has switched off a log that was never made.
    assert_eq!(look_with(&store, "WAL", &[]), []);
    mended(&store, "schema", "warning", &["none yet"]);
}

#[test]
fn a_damaged_file_is_told_and_what_can_be_read_is_rescued() {
    let store = Store::new();
    let mut server = store.serve();
    let ids: Vec<String> = (0..300).map(|n| server.task(&format!("Task {n}"))).collect();
    for id in &ids {
        server.call("update_task", json!({"id": id, "body": format!("- of {id} {}", "x".repeat(200))})).ok();
    }
    server.close();
    let mut file = std::fs::read(store.file()).unwrap();
    let root: usize = store
        .sql()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'task_by_change'", [], |row| row.get(0))
        .unwrap();
    file[(root - 1) * 4096..root * 4096].fill(0x5a);
    std::fs::write(store.file(), file).unwrap();
    let command = finds(&store, "integrity", "problem", &["the file is damaged"]).unwrap();
    assert_eq!(store.tasktally(["doctor"]).finish().code, Some(1));
    if Command::new("sqlite3").arg("-version").output().is_err() {
        println!("skipped the rescue: sqlite3 is missing");
        return;
    }
    run(&store, &command);
    let rescued = format!("{}.rescued", store.file().display());
    let once = std::fs::read(&rescued).unwrap();
    let again = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(!again.status.success(), "the second run pours everything in again");
    assert!(std::fs::read(&rescued).unwrap() == once, "the second run touched what was rescued");
    let next = finds(&store, "integrity", "problem", &["tasktally backup", "are lost", ".rescued-2 verify"]);
    assert!(next.unwrap().contains(".rescued-2 && "));
    store.tasktally(["--db", &rescued, "doctor", "--full"]).success();
    let listed = store.tasktally(["--db", &rescued, "list-tasks", "--json"]).success().json();
    assert_eq!(listed["total"], 300);
    assert_eq!(store.tasktally(["--db", &rescued, "verify", "--json"]).success().json()["receipts"], 300);

    // So much that it cannot even be opened.
    let mut file = std::fs::read(store.file()).unwrap();
    file[100..4096].fill(0x5a);
    std::fs::write(store.file(), file).unwrap();
    finds(&store, "integrity", "problem", &["malformed"]);
    store.tasktally(["doctor"]).code(1);
}

#[test]
fn a_file_that_was_cut_is_told_with_how_much_is_missing_and_rescued() {
    let store = Store::new();
    let mut server = store.serve();
    let ids: Vec<String> = (0..300).map(|n| server.task(&format!("Task {n}"))).collect();
    server.close();
    let file = std::fs::File::options().write(true).open(store.file()).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    file.set_len((pages - 3) * 4096 + 100).unwrap();
    let told = format!("{} of the {pages} pages", pages - 3);
    let words = [told.as_str(), "tasktally backup", "are lost", ".rescued verify"];
    let command = finds(&store, "integrity", "problem", &words).unwrap();
    store.tasktally(["doctor"]).code(1);
    // Asked to mend, it tells the same.
    let mending = look_with(&store, "integrity", &["--fix"]);
    assert!(mending[0].1.contains(&told), "{mending:?}");
    store.tasktally(["doctor", "--fix"]).code(1);
    if Command::new("sqlite3").arg("-version").output().is_err() {
        println!("skipped the rescue: sqlite3 is missing");
        return;
    }
    run(&store, &command);
    let rescued = format!("{}.rescued", store.file().display());
    let listed = store.tasktally(["--db", &rescued, "list-tasks", "--json"]).success().json();
    let total = listed["total"].as_u64().unwrap();
    assert!(total > 0 && total <= ids.len() as u64, "{total}");
}

#[test]
fn what_cannot_be_opened_is_told_the_same_with_mend_and_nothing_is_made() {
    let same = |store: &Store, code: i32| {
        let of = |args: &[&str]| {
            let mut findings =
                store.tasktally(args).code(code).json()["findings"].as_array().unwrap().clone();
            // Others take room meanwhile.
            findings.retain(|found| found["check"] != "free space");
            findings
        };
        assert_eq!(of(&["doctor", "--json"]), of(&["doctor", "--fix", "--json"]));
        store.tasktally(["doctor", "--fix"]).code(code);
    };
    let store = Store::new();
    same(&store, 2);
    assert!(!store.file().parent().unwrap().exists());
    same(&placed(Store::new(), "hello\n".repeat(1000)), 2);
    let empty = placed(Store::new(), "");
    same(&empty, 0);
    assert_eq!(std::fs::read(empty.file()).unwrap(), b"", "nothing is made");
    let older = placed(Store::new(), kept(3));
    same(&older, 0);
    finds(&older, "schema", "warning", &["3; this version migrates the store to 8"]);
}

#[test]
fn a_forged_receipt_is_found_where_all_is_looked_at() {
    let store = placed(Store::new(), kept(8));
    store
        .sql()
        .execute_batch(
            "DROP TRIGGER receipt_is_never_changed; UPDATE receipt SET text = 'forged' WHERE number = 3",
        )
        .unwrap();
    all_well(&store, "integrity");
    let found = look_with(&store, "integrity", &["--full"]);
    assert_eq!(found[0].0, "problem", "{found:?}");
    assert!(found[0].1.contains("receipt 3 is not as it was written"), "{found:?}");
    assert!(found[0].2.as_ref().unwrap().ends_with(" verify"), "{found:?}");
}

#[test]
fn who_else_may_read_or_change_the_store_is_told_and_shut_out() {
    let store = filled(Store::new());
    let folder = store.file().parent().unwrap().to_owned();
    set_mode(store.file(), 0o644);
    mended(&store, "permissions", "warning", &["can be read by others (mode 0644)"]);
    set_mode(store.file(), 0o620);
    mended(&store, "permissions", "problem", &["can be changed by others (mode 0620)"]);
    let mode = std::fs::metadata(store.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    set_mode(&folder, 0o777);
    mended(&store, "permissions", "problem", &["they can replace the store's file"]);
    set_mode(&folder, 0o1777);
    finds(&store, "permissions", "warning", &["a folder of its own"]);
    set_mode(&folder, 0o700);
    set_mode(Path::new(&format!("{}-turn", store.file().display())), 0o666);
    mended(&store, "permissions", "problem", &["-turn can be changed by others"]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(store.file(), Some(12_345), None).unwrap();
        let command = finds(&store, "permissions", "problem", &["belongs to user 12345"]).unwrap();
        run(&store, command.strip_prefix("sudo ").unwrap());
        all_well(&store, "permissions");
    } else {
        set_mode(store.file(), 0o200);
        mended(&store, "permissions", "problem", &["cannot be read and written"]);
    }
}

#[test]
fn a_read_only_disk_is_told() {
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        println!("skipped a_read_only_disk_is_told: no right to mount");
        return;
    };
    let store = filled(store);
    disk.remount("ro");
    let command = finds(&store, "permissions", "problem", &["is on a read-only disk"]).unwrap();
    assert!(command.starts_with("findmnt"), "{command}");
    all_well(&store, "integrity");
    // What cannot be cleared keeps nothing from being told.
    let mending = look_with(&store, "fix", &["--fix"]);
    assert!(mending[0].0 == "problem" && mending[0].1.contains("nothing could be removed"), "{mending:?}");
    assert_eq!(look_with(&store, "permissions", &["--fix"]), look_with(&store, "permissions", &[]));
    disk.remount("rw");
    all_well(&store, "permissions");
}

#[test]
fn a_disk_with_next_to_no_room_is_told() {
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        println!("skipped a_disk_with_next_to_no_room: no right to mount");
        return;
    };
    let store = filled(store);
    let command = finds(&store, "free space", "problem", &["less than 64", "writes will soon fail"]).unwrap();
    assert!(run(&store, &command).contains("tasktally.db"), "{command} shows what takes the room");
    disk.remount("size=128m");
    finds(&store, "free space", "warning", &["limits.min_free_disk_mb = 512: no worker is started"]);
    disk.remount("size=600m");
    all_well(&store, "free space");
}

/// Leaves a log of 70 MiB that nobody has folded in.
fn write_a_large_log(store: &Store) {
    let sql = store.sql();
    sql.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    sql.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    let insert =
        "INSERT INTO stored_response VALUES (hex(randomblob(8)), 'x', x'00', printf('%.1000000c', 'x'), 0)";
    for _ in 0..70 {
        sql.execute(insert, []).unwrap();
    }
}

#[test]
fn a_log_that_is_not_folded_in_is_told_with_who_holds_it() {
    let store = filled(Store::new());
    write_a_large_log(&store);
    mended(&store, "WAL", "warning", &["MiB are not checkpointed", "no process has the store open"]);
    let log = format!("{}-wal", store.file().display());
    assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0, "it was folded in");

    // A program that reads and never ends.
    let mut reader = Command::new("sqlite3");
    reader.arg(store.file()).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let Ok(mut reader) = reader.spawn() else {
        println!("skipped who holds it: sqlite3 is missing");
        return;
    };
    use std::io::Write as _;
    let input = reader.stdin.as_mut().unwrap();
    input.write_all(b"BEGIN; SELECT count(*) FROM task;\n").unwrap();
    let held = || Path::new(&format!("{}-shm", store.file().display())).exists().then_some(());
    eventually("the reader to have it open", held);
    write_a_large_log(&store);
    let named = format!("sqlite3 (process {})", reader.id());
    let command = finds(&store, "WAL", "warning", &["because a process reads the store", &named]).unwrap();
    assert_eq!(command, format!("kill {}", reader.id()));
    run(&store, &command);
    reader.wait().unwrap();
    mended(&store, "WAL", "warning", &["no process has the store open"]);
}

#[test]
fn a_store_whose_log_was_switched_off_is_told() {
    let store = filled(Store::new());
    store.sql().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    mended(&store, "WAL", "warning", &["does not use a WAL"]);
}

#[test]
fn what_is_wrong_with_the_configuration_is_told() {
    let store = filled(Store::new().with_config("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n"));
    all_well(&store, "configuration");
    let write = |text: &str| std::fs::write(store.config(), text).unwrap();
    write("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\ntimeout_s = 0\n");
    let edit = finds(&store, "configuration", "problem", &["worker.w.timeout_s = 0", ":4: "]).unwrap();
    assert!(edit.starts_with("${EDITOR:-vi} ") && edit.contains("config.toml"), "{edit}");
    store.tasktally(["doctor"]).code(2);
    write("[worker.w]\nper = \"item\"\ncommand = [\"no-such-program-7\"]\n");
    let check =
        finds(&store, "configuration", "problem", &["profile 'w' cannot be started", "no-such-program-7"]);
    assert!(check.unwrap().ends_with("config check"));
    write("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n");
    set_mode(&store.config(), 0o666);
    all_well(&store, "permissions");
    mended(&store, "configuration", "problem", &["others could choose the commands that workers run"]);
    let folder = store.config().parent().unwrap().to_owned();
    set_mode(&folder, 0o770);
    mended(&store, "configuration", "problem", &["can be written to by its group"]);
}

#[test]
fn commands_name_the_store_in_words_that_a_shell_reads_as_they_are() {
    let store = Store::new().at("my store's/tasktally.db");
    let command = finds(&store, "file", "problem", &["does not exist"]).unwrap();
    run(&store, &command);
    all_well(&store, "file");
    assert!(store.file().exists());
}

#[test]
fn a_worker_is_not_told() {
    let store = filled(Store::new());
    let mut command = store.command();
    command.env("TASKTALLY_JOB", "x.01:tok");
    cli::Run::new(command, ["doctor"]).code(2);
}
