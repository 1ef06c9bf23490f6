//! Text that a person does not see as it is, and names that lead elsewhere.

use serde_json::json;

use crate::support::store::Store;

/// Tag characters, zero-width characters and separators that models read and people do not see.
const HIDDEN: &str = "pay\u{e0070}\u{e0061}\u{200b}\u{2028}\u{2060}\u{feff}\u{fe01}now";
/// How a person sees them.
const SHOWN: &str = "pay\\u{e0070}\\u{e0061}\\u{200b}\\u{2028}\\u{2060}\\u{feff}\\u{fe01}now";

/// Instructions in characters without a shape are part of titles, items and receipts. Wherever a person reads them, they
/// stand escaped.
#[test]
fn a_person_sees_invisible_characters() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": HIDDEN, "instructions": "Do.", "items": [HIDDEN], "checkpoint": "chunk"});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    let settled = json!({"id": chunk, "claim": token, "item": HIDDEN, "outcome": "done", "category": HIDDEN,
        "body": format!("moved {HIDDEN}")});
    server.call("update_task", settled).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    for arguments in [
        &["get-batch", &batch][..],
        &["get-batch"],
        &["get-task", &chunk],
        &["list-tasks", "--limit", "0"],
        &["get-batch", &batch, "--view", "review"],
        &["get-batch", &batch, "--view", "receipts"],
        &["watch", &batch, "--once"],
    ] {
        let output = store.tasktally(arguments).finish().output();
        assert!(!output.contains('\u{e0070}') && !output.contains('\u{2028}'), "{arguments:?}: {output:?}");
        assert!(!output.contains('\u{200b}') && !output.contains('\u{1b}'), "{arguments:?}: {output:?}");
    }
    let shown = store.tasktally(["get-task", &chunk]).success().output();
    assert!(shown.contains(SHOWN), "{shown}");
    // The files of intermediate state and the report.
    store.tasktally(["report", &batch]).success();
    let mut files = vec![store.folder().join("scratch")];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "md" || extension == "html") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(['\u{e0070}', '\u{200b}', '\u{2028}', '\u{1b}']), "{}", path.display());
            assert!(text.contains("u{e0070}") || text.contains("u\\{e0070\\}"), "{}: {text}", path.display());
            read += 1;
        }
    }
    assert!(read >= 1, "no file was found");
}

/// Another program writes an id into the store that leads out of the folder of batches.
#[test]
fn an_edited_id_leads_to_no_path() {
    let store = Store::new();
    let mut server = store.serve();
    let batch =
        server.call("create_batch", json!({"title": "B", "instructions": "Do.", "items": ["a"]})).ok();
    let batch = batch.text("/batch/id");
    drop(server);
    store.forge(|sql| {
        let edit = "UPDATE task SET id = ?2 WHERE id = ?1";
        assert_eq!(sql.execute(edit, &[&batch, &"../../escape"]), Ok(1));
        assert_eq!(sql.execute(edit, &[&format!("{batch}.01"), &"../../escape.01"]), Ok(1));
    });
    for arguments in [
        &["list-tasks", "--limit", "0"][..],
        &["get-batch"],
        &["claim-task"],
        &["report", "../../escape"],
        &["work", "--", "true"],
        &["verify"],
    ] {
        let refused = store.tasktally(arguments).finish();
        assert_ne!(refused.code, Some(0), "{arguments:?}: {}", refused.output());
    }
    let refused = store.tasktally(["list-tasks", "--limit", "0"]).finish().output();
    assert!(refused.contains("the store has '../../escape"), "{refused}");
    let outside = store.folder().parent().unwrap();
    let made: Vec<_> = std::fs::read_dir(outside).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(made.iter().all(|name| !name.to_string_lossy().contains("escape")), "{made:?}");
}

/// An export is edited so that a title clears the screen of whoever lists tasks, and its hash is computed again.
#[test]
fn an_import_takes_no_control_characters_in_names() {
    use sha2::{Digest as _, Sha256};
    let store = Store::new();
    store.tasktally(["create-task", "plain title"]).success();
    let export = store.folder().join("all.jsonl");
    store.tasktally(["export", &export.display().to_string()]).success();
    let text = std::fs::read_to_string(&export).unwrap();
    assert!(text.contains("\"plain title\""));
    let text = text.replace("\"plain title\"", "\"\\u001b[2J\\u202etitle\"");
    let (lines, last) = text.trim_end().rsplit_once('\n').unwrap();
    let lines = format!("{lines}\n");
    let mut last: serde_json::Value = serde_json::from_str(last).unwrap();
    let hash: String = Sha256::digest(&lines).iter().map(|byte| format!("{byte:02x}")).collect();
    last["sha256"] = json!(hash);
    std::fs::write(&export, format!("{lines}{last}\n")).unwrap();
    let other = store.folder().join("other.db").display().to_string();
    let refused = store.tasktally(["--db", &other, "import", &export.display().to_string()]).finish();
    assert_ne!(refused.code, Some(0));
    assert!(refused.output().contains("title: "), "{}", refused.output());
    assert!(refused.output().contains("character U+001B"), "{}", refused.output());
}

/// Two workers whose names differ in a space that looks like any other, and a receipt padded with blanks that no rule for
/// spaces removes. Where writing has such a space, it stays.
#[test]
fn a_person_sees_which_space_it_is() {
    let store = Store::new();
    let mut server = store.serve();
    let text = "Total\u{a0}: 30\u{202f}€ for claude\u{a0}code\u{2800}\u{3000}\u{2003}end";
    let id = server.create_task("Log");
    server.call("update_task", json!({"id": id, "body": text})).ok();
    let shown = store.tasktally(["get-task", &id]).success().output();
    assert!(
        shown.contains("Total\u{a0}: 30\u{202f}€ for claude\\u{a0}code\\u{2800}\\u{3000}\\u{2003}end"),
        "{shown}"
    );
}
