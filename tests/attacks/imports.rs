//! Exports and lists of heads that somebody else made, or that never end.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::store::Store;

/// The id of a batch of `tasktally run` whose items failed, and the lines of its export without the last.
fn exported_run() -> (String, Vec<Value>) {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a1\"}\n{\"key\": \"a2\"}\n");
    store.tasktally(["run", "--items", "items.jsonl", "--quiet", "--max-chunk", "1", "--", "false"]).code(1);
    store.tasktally(["export", "run.jsonl"]).success();
    let text = std::fs::read_to_string(store.folder().join("run.jsonl")).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.pop();
    let batch = lines.iter().find(|line| line["line"] == "task" && line["role"] == "batch").unwrap();
    (batch["id"].as_str().unwrap().to_owned(), lines)
}

fn as_text(lines: &[Value]) -> Vec<String> {
    lines.iter().map(Value::to_string).collect()
}

/// Writes an export with a valid last line, as whoever makes one can.
fn write_export(store: &Store, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let last = json!({"line": "end", "lines": lines.len(), "sha256": hash});
    store.write("made.jsonl", format!("{text}{last}\n"));
}

/// The batch of an import brought a command along. `run --resume`, which Tasktally recommends as the next step, ran it
/// without showing it.
#[test]
fn the_command_of_an_import_is_shown_before_it_runs() {
    let (id, mut lines) = exported_run();
    // In the form of older versions, with a false claim that it was not imported, and for a step.
    for form in ["list", "object", "step"] {
        let store = Store::new();
        let mark = store.folder().join("was-run");
        let planted = json!(["sh", "-c", format!("echo planted > '{}'", mark.display())]);
        let batch = lines.iter_mut().find(|line| line["line"] == "batch").unwrap();
        batch["command"] = match form {
            "list" => planted,
            "object" => json!({"command": planted, "is_imported": false}),
            _ => json!({"command": ["true"], "steps": [{"step": "work", "command": planted}]}),
        };
        write_export(&store, &as_text(&lines));
        store.tasktally(["import", "made.jsonl"]).success();
        store.tasktally(["control-batch", &id, "retry", "--reason", "again"]).success();
        let refused = store.tasktally(["run", "--resume", &id, "--quiet"]).code(1);
        assert!(refused.stderr.contains("echo planted >"), "{form}: {}", refused.stderr);
        assert!(refused.stderr.contains("--imported-command"), "{form}: {}", refused.stderr);
        assert!(!mark.exists(), "{form}: the command ran");
        // A new batch of the rest keeps the mark.
        store.tasktally(["control-batch", &id, "cancel", "--reason", "again"]).success();
        let rest =
            store.tasktally(["control-batch", &id, "recreate", "--reason", "again", "--json"]).success();
        let rest = rest.json()["batch"]["id"].as_str().unwrap().to_owned();
        store.tasktally(["run", "--resume", &rest, "--quiet"]).code(1);
        assert!(!mark.exists(), "{form}: the command ran");
        if form == "list" {
            store.tasktally(["run", "--resume", &rest, "--quiet", "--imported-command"]).success();
            assert!(mark.exists(), "the person wanted it to run");
        }
    }
}

/// Values that no operation stores: the store took no write any more, and `verify` found nothing.
#[test]
fn an_import_refuses_values_that_no_operation_stores() {
    let (_, lines) = exported_run();
    let long = "x".repeat(5_000);
    for (kind, column, value) in [
        ("task", "change_number", json!(i64::MAX)),
        ("task", "generation", json!(i64::MAX)),
        ("task", "title", json!(long)),
        ("batch", "max_parallel", json!(0)),
        ("batch", "max_parallel", json!(-1)),
        ("batch", "max_chunk", json!(0)),
        ("batch", "max_attempts", json!(-1)),
        ("chunk", "number", json!(0)),
    ] {
        let mut changed = lines.clone();
        let line = changed.iter_mut().find(|line| line["line"] == kind && line[column] != json!(null));
        line.unwrap_or_else(|| panic!("{kind} has {column}"))[column] = value.clone();
        let store = Store::new_sqlite();
        write_export(&store, &as_text(&changed));
        let refused = store.tasktally(["import", "made.jsonl"]).finish();
        assert_ne!(refused.code, Some(0), "{kind} {column} {value}");
        assert!(!store.file().exists(), "{kind} {column} {value}: there is a store");
    }
    // The same in a store that another program edited.
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a1\"}\n");
    store.tasktally(["run", "--items", "items.jsonl", "--quiet", "--", "true"]).success();
    store.forge(|sql| {
        sql.execute("UPDATE batch SET max_parallel = 0", &[]).unwrap();
    });
    let found = store.tasktally(["verify"]).code(1);
    assert!(found.output().contains("max_parallel is 0, allowed: 1 to 64"), "{}", found.output());
}

/// The first line announced a store that the lines were not, and a repeated key hid a value from whoever read the file.
#[test]
fn an_import_refuses_false_counts_and_repeated_keys() {
    let (_, lines) = exported_run();
    let refused = |lines: &[String], words: &str| {
        let store = Store::new_sqlite();
        write_export(&store, lines);
        let refused = store.tasktally(["import", "made.jsonl"]).finish();
        assert_ne!(refused.code, Some(0), "{words}");
        assert!(refused.output().contains(words), "{}", refused.output());
        assert!(!store.file().exists(), "{words}: there is a store");
    };
    let mut false_counts = lines.clone();
    false_counts[0]["counts"]["receipt"] = json!(0);
    refused(&as_text(&false_counts), "table receipt has 0 lines");
    let mut repeated = as_text(&lines);
    let at = repeated.iter().position(|line| line.starts_with("{\"line\":\"task\"")).unwrap();
    repeated[at] =
        repeated[at].replacen("{\"line\":\"task\"", "{\"line\":\"task\",\"title\":\"harmless\"", 1);
    refused(&repeated, "title");
    let store = Store::new_sqlite();
    write_export(&store, &as_text(&lines));
    store.tasktally(["import", "made.jsonl"]).success();
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A FIFO in the place of a file blocked the command for ever, and `/dev/zero` took all memory.
#[test]
fn files_that_never_end_are_not_read() {
    let store = Store::new();
    store.create();
    make_fifo(&store.folder().join("fifo"));
    for arguments in [
        &["verify", "--from", "fifo"][..],
        &["verify", "--from", "/dev/zero"],
        &["--db", "new.db", "import", "fifo"],
        &["--db", "new.db", "import", "/dev/zero"],
    ] {
        let refused = store.tasktally(arguments).finish();
        assert_ne!(refused.code, Some(0), "{arguments:?}");
        assert!(refused.output().contains("is no regular file"), "{arguments:?}: {}", refused.output());
    }
    store.write("long", vec![b' '; 100_000]);
    let refused = store.tasktally(["verify", "--from", "long"]).finish();
    assert_ne!(refused.code, Some(0));
    assert!(refused.output().contains("line 1 has more than 4096 bytes"), "{}", refused.output());
}
