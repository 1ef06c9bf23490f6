//! A worker that leads the workers after it to another folder.

use serde_json::json;

use crate::support::background::wait_for_status;
use crate::support::server::Server;
use crate::support::store::Store;

/// The first worker replaces its working directory by a link to a folder outside the roots, so that the next one would
/// work there.
#[test]
fn no_worker_starts_in_a_folder_that_an_earlier_one_replaced_by_a_link() {
    for replaced in ["", "/.."] {
        let script = format!(
            "touch worked-$TASKTALLY_ITEM; here=$PWD{replaced}; here=$(cd \"$here\" && pwd); cd /; \
             mv \"$here\" \"$here.away\" && ln -s \"$OUTSIDE\" \"$here\"; echo '- done'"
        );
        let store = Store::new();
        let outside = store.folder().join("outside");
        std::fs::create_dir_all(outside.join("deep")).unwrap();
        let profile = format!(
            "[paths]\nroots = [\"{{home}}/code\"]\n[worker.w]\nper = \"item\"\nmax_parallel = 1\n\
             cwd = \"{{home}}/code/a/deep\"\ncommand = [\"sh\", \"-c\", {script:?}]\n\
             env = {{ set = {{ OUTSIDE = {outside:?} }} }}\n"
        );
        let store = store.with_config(&profile);
        std::fs::create_dir(store.home().join("code")).unwrap();
        let mut server = store.serve();
        let request = json!({"title": "B", "instructions": "Do.", "items": ["a", "b", "c"], "worker": "w", "max_attempts": 1});
        let batch = server.call("create_batch", request).ok().text("/batch/id");
        let paused = wait_for_status(&mut server, &batch, "paused");
        let reason = paused.text("/batch/paused");
        assert!(reason.contains("was replaced by a link"), "{reason}");
        let found: Vec<_> =
            std::fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(found, ["deep"], "a worker worked outside");
        assert_eq!(std::fs::read_dir(outside.join("deep")).unwrap().count(), 0, "a worker worked outside");
        server.call("control_batch", json!({"id": batch, "action": "cancel"})).ok();
    }
}

/// A worker replaces the folder of its own batch by a link, to stop the work of all batches that use the same profile.
#[test]
fn a_worker_that_replaces_its_folder_stops_only_its_own_batch() {
    let script = "if [ $TASKTALLY_ITEM = bad ]; then here=$PWD; cd /; mv \"$here\" \"$here.away\"; ln -s \"$here.away\" \"$here\"; fi; echo '- done'";
    let profile = format!(
        "[paths]\nroots = [\"{{home}}/code\"]\n[worker.w]\nper = \"item\"\nmax_parallel = 1\n\
         cwd = \"{{home}}/code/{{batch}}\"\ncommand = [\"sh\", \"-c\", {script:?}]\n"
    );
    let store = Store::new().with_config(&profile);
    std::fs::create_dir(store.home().join("code")).unwrap();
    let mut server = store.serve();
    let create = |server: &mut Server, items: [&str; 2]| {
        let request =
            json!({"title": "B", "instructions": "Do.", "items": items, "worker": "w", "max_chunk": 2});
        server.call("create_batch", request).ok().text("/batch/id")
    };
    let attacked = create(&mut server, ["bad", "b"]);
    let paused = wait_for_status(&mut server, &attacked, "paused");
    let reason = paused.text("/batch/paused");
    assert!(reason.contains("was replaced by a link") && !reason.contains("profile 'w'"), "{reason}");
    let other = create(&mut server, ["c", "d"]);
    let ended = wait_for_status(&mut server, &other, "done");
    assert_eq!(ended["batch"]["outcomes"]["done"], 2, "{}", ended.value);
}
