//! Output for scripts and pipes, and commands that are printed to be copied.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::store::Store;
use crate::support::{eventually, send_signal};
use crate::{export, small_export};

#[test]
fn a_dash_is_standard_output_for_an_export_and_refused_for_a_backup() {
    let (store, path, _) = small_export();
    let through = store.tasktally(["export", "-"]).success().stdout;
    let kept = std::fs::read_to_string(path).unwrap();
    assert_eq!(through.lines().count(), kept.lines().count());
    let refused = store.tasktally(["backup", "--", "-"]).code(2).output();
    assert!(refused.contains("standard output") && refused.contains("name a file"), "{refused}");
    assert!(!store.folder().join("-").exists(), "a file was made");
}

#[test]
fn an_export_reports_the_size_of_its_file() {
    let (store, _, _) = small_export();
    let reply = store.tasktally(["export", "again.jsonl", "--json"]).success().json();
    let size = std::fs::metadata(store.folder().join("again.jsonl")).unwrap().len();
    assert_eq!(reply["bytes"], size);
}

#[test]
fn heads_are_printed_as_lines_or_objects_and_verify_reads_both() {
    let (store, _, _) = small_export();
    let plain = store.tasktally(["heads"]).success().stdout;
    let json = store.tasktally(["heads", "--json"]).success().stdout;
    assert!(!plain.is_empty() && plain.lines().count() == json.lines().count(), "{plain}{json}");
    for (line, object) in plain.lines().zip(json.lines()) {
        let object: Value = serde_json::from_str(object).unwrap();
        let content = &object["content"];
        let reply = format!(
            "{} {} {} {} {}",
            object["task"].as_str().unwrap(),
            object["number"],
            object["hash"].as_str().unwrap(),
            content["items"],
            content["hash"].as_str().unwrap()
        );
        assert_eq!(reply, line);
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
fn a_command_that_is_printed_to_be_copied_contains_the_path_of_the_store() {
    let (store, _, _) = small_export();
    store.serve().call("claim_task", json!({"worker": "w"})).ok();
    let path = export(&store, "claimed.jsonl");
    let other = Store::new_sqlite();
    let file = other.folder().join("my stores/tasktally.db");
    let tasktally = |args: &[&str]| {
        let mut command = other.command();
        command.env_remove("TASKTALLY_DB").args(["--db", file.to_str().unwrap()]).args(args);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let called = format!("tasktally --db '{}'", file.display());
    let output = tasktally(&["import", path.to_str().unwrap()]);
    assert!(output.contains(&format!("{called} reset-stalled-tasks --hours 0")), "{output}");
    let items = other.write("items.jsonl", "{\"key\": \"a\"}\n");
    let output = tasktally(&["run", "--items", items.to_str().unwrap(), "--", "echo", "done"]);
    assert!(output.contains(&format!("Receipts: {called} get-batch ")), "{output}");

    // The same for the command that resumes an interrupted run.
    let items: String = (0..50).map(|n| format!("{{\"key\": \"{n}\"}}\n")).collect();
    let items = other.write("items.jsonl", items);
    let script = "touch started; while ! test -e go; do sleep 0.05; done; echo done";
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
    eventually("the run to start", || other.folder().join("started").exists().then_some(()));
    send_signal("INT", run.id());
    other.write("go", "");
    let output = String::from_utf8(run.wait_with_output().unwrap().stdout).unwrap();
    assert!(output.contains(&format!("To continue: {called} run --resume ")), "{output}");
}
