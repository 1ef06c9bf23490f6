//! What goes to a script or through a pipe, and what is printed to be copied.

use std::process::Stdio;

use serde_json::Value;

use crate::small;
use crate::support::store::Store;
use crate::support::{eventually, signal};

#[test]
fn a_dash_is_standard_output_for_an_export_and_refused_for_a_backup() {
    let (store, path, _) = small();
    let through = store.tasktally(["export", "-"]).success().stdout;
    let kept = std::fs::read_to_string(path).unwrap();
    assert_eq!(through.lines().count(), kept.lines().count());
    let refused = store.tasktally(["backup", "--", "-"]).code(2).said();
    assert!(refused.contains("standard output") && refused.contains("name a file"), "{refused}");
    assert!(!store.folder().join("-").exists(), "a file was made");
}

#[test]
fn an_export_tells_the_size_of_the_file_that_it_made() {
    let (store, _, _) = small();
    let told = store.tasktally(["export", "again.jsonl", "--json"]).success().json();
    let size = std::fs::metadata(store.folder().join("again.jsonl")).unwrap().len();
    assert_eq!(told["bytes"], size);
}

#[test]
fn heads_are_a_line_or_an_object_a_task_and_verify_reads_both_from_anywhere() {
    let (store, _, _) = small();
    let plain = store.tasktally(["heads"]).success().stdout;
    let json = store.tasktally(["heads", "--json"]).success().stdout;
    assert!(!plain.is_empty() && plain.lines().count() == json.lines().count(), "{plain}{json}");
    for (line, object) in plain.lines().zip(json.lines()) {
        let object: Value = serde_json::from_str(object).unwrap();
        let told = format!(
            "{} {} {}",
            object["task"].as_str().unwrap(),
            object["number"],
            object["hash"].as_str().unwrap()
        );
        assert_eq!(told, line);
    }
    let forged = json.replacen("\"number\":3", "\"number\":9", 1);
    assert_ne!(forged, json);
    for (heads, code) in [(&plain, 0), (&json, 0), (&forged, 1)] {
        let file = store.write("heads", heads);
        let from = store.tasktally(["verify", "--from", file.to_str().unwrap()]).code(code).stdout;
        let mut command = store.command();
        command.args(["verify", "--from", "-"]).stdin(Stdio::from(std::fs::File::open(file).unwrap()));
        let ran = command.output().unwrap();
        assert_eq!((ran.status.code(), String::from_utf8(ran.stdout).unwrap()), (Some(code), from));
    }
}

#[test]
fn a_command_that_is_printed_to_be_copied_names_the_store() {
    let (_store, path, _) = small();
    let other = Store::new();
    let file = other.folder().join("my stores/tasktally.db");
    let tasktally = |args: &[&str]| {
        let mut command = other.command();
        command.env_remove("TASKTALLY_DB").args(["--db", file.to_str().unwrap()]).args(args);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let called = format!("tasktally --db '{}'", file.display());
    let said = tasktally(&["import", path.to_str().unwrap()]);
    assert!(said.contains(&format!("{called} reset-stalled-tasks --hours 0")), "{said}");
    let items = other.write("items.jsonl", "{\"key\": \"a\"}\n");
    let said = tasktally(&["run", "--items", items.to_str().unwrap(), "--", "echo", "done"]);
    assert!(said.contains(&format!("Receipts: {called} get-task ")), "{said}");

    // As does a run that was stopped, with how it goes on.
    let items: String = (0..50).map(|n| format!("{{\"key\": \"{n}\"}}\n")).collect();
    let items = other.write("items.jsonl", items);
    let script = "touch began; while ! test -e go; do sleep 0.05; done; echo done";
    let mut command = other.command();
    command
        .env_remove("TASKTALLY_DB")
        .arg("--db")
        .arg(&file)
        .arg("run")
        .arg("--workers=1")
        .arg("--items")
        .arg(&items);
    let run = command.args(["--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("the run to begin", || other.folder().join("began").exists().then_some(()));
    signal("INT", run.id());
    other.write("go", "");
    let said = String::from_utf8(run.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains(&format!("To go on: {called} run --resume ")), "{said}");
}
