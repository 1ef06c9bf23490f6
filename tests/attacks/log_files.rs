//! A worker that prepares the files into which its output will be logged.

use std::process::Command;

use serde_json::json;

use crate::support::background::{start_batch, wait_for_status};
use crate::support::store::Store;

/// The worker makes the log of its own attempt a link to a file of the operator, who would not let it write there. The runner
/// appended its output to that file, and `tasktally logs` printed it. A FIFO there would have stopped the runner.
#[test]
fn a_log_is_neither_written_nor_read_through_what_a_worker_put_there() {
    for plant in ["ln -s \"$VICTIM\" \"$log\"", "ln \"$VICTIM\" \"$log\"", "mkfifo \"$log\""] {
        let script = format!("log=\"$LOGS/$TASKTALLY_TASK.1.out\"; rm -f \"$log\"; {plant}; echo '- PWNED'");
        let store = Store::new();
        let (victim, logs) = (store.home().join("victim"), store.data_folder().join("logs"));
        std::fs::write(&victim, "SECRET").unwrap();
        let profile = format!(
            "[worker.w]\nper = \"item\"\ncommand = [\"sh\", \"-c\", {script:?}]\n\
             env = {{ set = {{ VICTIM = {victim:?}, LOGS = {logs:?} }} }}\n"
        );
        let store = store.with_config(&profile);
        let mut server = store.serve();
        let batch = start_batch(&mut server, 1, 1, "w");
        let ended = wait_for_status(&mut server, &batch, "done");
        assert_eq!(ended["batch"]["outcomes"]["done"], 1, "{}", ended.value);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "SECRET", "{plant}: the output was appended");
        let chunk = server.call("get_batch", json!({"id": batch})).ok().text("/chunks/0/id");
        let shown = store.tasktally(["logs", &chunk]).finish();
        assert!(!shown.output().contains("SECRET"), "{plant}: {}", shown.output());
        assert!(
            shown.output().contains("is a link, has several hard links, or is no file"),
            "{}",
            shown.output()
        );
        assert!(Command::new("rm").arg("-r").arg(&logs).status().unwrap().success());
    }
}
