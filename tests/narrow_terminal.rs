//! Tables in terminals of several widths.

mod support;

use serde_json::json;
use support::screen::Screen;
use support::skip::has_program;
use support::store::Store;

#[test]
fn ids_are_never_split() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<_> = (1..=3)
        .map(|number| json!({"key": format!("mail-{number}"), "date": format!("2025-0{number}-15")}))
        .collect();
    let request = json!({"title": "File the mail of the first quarter", "instructions": "x", "items": items,
        "split": "month:date", "project": "mail", "finish": {"title": "Report"}});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    server.call("claim_task", json!({"batch": id, "worker": "worker-1"})).ok();
    let chunk = format!("{id}.01");
    for columns in [40, 60, 80] {
        for (command, ids) in [
            ("list-tasks --limit 0", vec![&id, &chunk]),
            ("get-batch", vec![&id]),
            (&format!("get-batch {id}"), vec![&id, &chunk]),
            (&format!("get-batch {id} --view items"), vec![&chunk]),
            ("search-tasks mail", vec![&id]),
        ] {
            let screen = Screen::command(&store, (columns, 90), "", command);
            let text = screen.wait_for(&["ended with 0"]);
            // The sentences after the tables hold commands to copy, so they are wrapped by the terminal only.
            let tables = text
                .split("\nnext: ")
                .next()
                .expect("a part")
                .split("\nto see only what changes")
                .next()
                .expect("a part");
            for id in ids {
                let whole: usize = tables.lines().map(|line| line.matches(id.as_str()).count()).sum();
                let with_pieces = tables.replace('\n', "").matches(id.as_str()).count();
                assert!(whole > 0 && whole == with_pieces, "{columns}, {command}: {id}\n{text}");
            }
        }
        let screen = Screen::watch(&store, (columns, 24), "", "");
        let text = screen.wait_for(&[&id]);
        screen.press(&["q"]);
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(columns)), "{text}");
    }
}
