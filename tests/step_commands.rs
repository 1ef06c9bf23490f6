//! Commands of their own for steps: `--step-command` of `run` and `work`, and `[worker.NAME.steps.STEP]`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::background::wait_for_status;
use support::steps::create_batch;
use support::store::Store;

/// A script for each step of a classification with a move afterwards. Each writes what it was called for to a log.
fn write_scripts(store: &Store) {
    store.write(
        "classify.sh",
        "echo \"classify $TASKTALLY_STEP $TASKTALLY_ITEM\" >> log\necho '{\"category\": \"old\"}'\n",
    );
    store.write("move.sh", "echo \"move $TASKTALLY_STEP $1\" >> log\nmv \"$1\" moved/\n");
    store.write("other.sh", "echo \"other $TASKTALLY_STEP\" >> log\n");
    store.write("items.jsonl", "{\"key\": \"a b.txt\"}\n{\"key\": \"c.txt\"}\n");
    for name in ["a b.txt", "c.txt"] {
        store.write(name, "x");
    }
    std::fs::create_dir(store.folder().join("moved")).unwrap();
}

fn log(store: &Store) -> Vec<String> {
    let text = std::fs::read_to_string(store.folder().join("log")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn steps() -> Value {
    json!([{"name": "classify", "instructions": "Say what it is."}, {"name": "move", "instructions": "Move it."}])
}

#[test]
fn a_run_has_a_command_for_each_step_and_resumes_with_them() {
    let store = Store::new();
    write_scripts(&store);
    let run = [
        "run",
        "--items",
        "items.jsonl",
        "--step-command",
        "classify=sh ./classify.sh",
        "--step-command",
        "move=sh './move.sh' {}",
        "--json",
    ];
    let ran = store.tasktally(run).success();
    let end: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(end["batch"]["status"], "done", "{end}");
    assert_eq!(
        log(&store),
        ["classify classify a b.txt", "classify classify c.txt", "move move a b.txt", "move move c.txt"]
    );
    assert!(store.folder().join("moved/a b.txt").exists(), "the key is one argument");
    // A failed step is retried with its own command, which the batch has recorded.
    let failing = [
        "run",
        "--items",
        "items.jsonl",
        "--new",
        "--step-command",
        "classify=sh ./classify.sh",
        "--step-command",
        "move=false",
        "--json",
    ];
    let ran = store.tasktally(failing).code(1);
    let end: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let batch = end["batch"]["id"].as_str().unwrap();
    for name in ["a b.txt", "c.txt"] {
        std::fs::rename(store.folder().join("moved").join(name), store.folder().join(name)).unwrap();
    }
    std::fs::remove_file(store.folder().join("log")).unwrap();
    store.tasktally(["control-batch", batch, "retry"]).success();
    store.tasktally(["run", "--resume", batch, "--step-command", "move=sh move.sh {}"]).success();
    assert_eq!(log(&store), ["move move a b.txt", "move move c.txt"], "only the failed step ran again");
}

#[test]
fn wrong_steps_are_refused_before_anything_is_created_or_run() {
    let store = Store::new();
    write_scripts(&store);
    let run = |more: &[&str]| {
        let args = ["run", "--items", "items.jsonl"].iter().chain(more);
        store.tasktally(args.copied().collect::<Vec<_>>()).finish()
    };
    for (more, expected) in [
        (&["--step-command", "move"][..], "write STEP=CMD"),
        (&["--step-command", "=true"], "the name of the step is missing"),
        (&["--step-command", "move="], "step 'move' has no command"),
        (&["--step-command", "move=mv 'a"], "without its end"),
        (&["--step-command", "move=./nofile.sh"], "step 'move'"),
        (&["--step-command", "a=true", "--step-command", "a=false"], "two commands"),
        (&["--step-command", "a=sh -c 'rm {}'"], "inside code"),
        (&["--step-command", "a=true", "--", "true"], "would never run"),
    ] {
        let ran = run(more);
        assert!(matches!(ran.code, Some(1 | 2)), "{more:?}: {:?}", ran.code);
        assert!(ran.output().contains(expected), "{more:?}: {}", ran.output());
    }
    let mut server = store.serve();
    assert_eq!(server.call("list_tasks", json!({})).ok().count("/total"), 0, "a batch was created");
    let batch = create_batch(
        &mut server,
        json!({"title": "B", "instructions": "x", "items": ["c.txt"], "steps": steps()}),
    );
    for (more, expected) in [
        (
            &["--batch", &batch, "--step-command", "mvoe=true", "--", "true"][..],
            "no step 'mvoe'; its steps are 'classify', 'move'",
        ),
        (&["--batch", &batch, "--step-command", "move=true"], "step 'classify' has no command"),
        (&["--step-command", "move=true", "--", "true"], "--batch"),
        (
            &["--batch", &batch, "--step-command", "move=true", "--worker", "filer"],
            "steps.STEP.command applies",
        ),
        (&["--batch", &batch, "--step-command", "move=true", "--detach"], "steps.STEP.command applies"),
        (&["--batch", &batch, "--pause-after-failures", "3"], "pause_after_failures applies"),
    ] {
        let ran = store.tasktally(["work"].iter().chain(more).copied().collect::<Vec<_>>()).finish();
        assert!(
            matches!(ran.code, Some(1 | 2)) && ran.output().contains(expected),
            "{more:?}: {}",
            ran.output()
        );
    }
    assert!(log(&store).is_empty(), "a command ran");
    // A step without a command of its own gets the command after --.
    store
        .tasktally([
            "work",
            "--batch",
            &batch,
            "--step-command",
            "move=sh move.sh {}",
            "--",
            "sh",
            "other.sh",
        ])
        .success();
    assert_eq!(log(&store), ["move move c.txt", "other classify"]);
}

#[test]
fn one_command_for_several_steps_is_said_at_the_start() {
    let store = Store::new();
    write_scripts(&store);
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["c.txt"], "steps": steps()});
    let batch = create_batch(&mut server, request);
    let ran = store.tasktally(["work", "--batch", &batch, "--", "sh", "other.sh"]).success();
    assert!(ran.output().contains("The same command runs for 2 of the steps"), "{}", ran.output());
    assert_eq!(log(&store), ["other classify", "other move"]);
}

#[test]
fn a_profile_has_commands_for_steps() {
    let table = |steps: &str| {
        format!(
            "[worker.filer]\nper = \"item\"\ncommand = [\"sh\", \"-c\", \"echo default $TASKTALLY_STEP\"]\n{steps}\n"
        )
    };
    let own = table("[worker.filer.steps.move]\ncommand = [\"sh\", \"-c\", \"echo moves $TASKTALLY_STEP\"]");
    let store = Store::new().with_config(&own);
    let mut server = store.serve();
    let request =
        json!({"title": "B", "instructions": "x", "items": ["a"], "steps": steps(), "worker": "filer"});
    let plan = server.call("create_batch", request.clone()).ok();
    assert!(!plan.message().contains("same command"), "{}", plan.message());
    let batch = plan.text("/batch/id");
    wait_for_status(&mut server, &batch, "done");
    let body = server.body(&format!("{batch}.01"));
    assert!(body.contains("default classify") && body.contains("moves move"), "{body}");
    let config = store.tasktally(["config", "--json"]).success().json();
    assert_eq!(config["workers"]["filer"]["steps.move.command"]["set"], true, "{config}");
    // Both commands are run by the check.
    let checked = store.tasktally(["config", "check", "--run"]).success().output();
    assert!(
        checked.contains("moves $TASKTALLY_STEP") && checked.contains("1 of 1 profile works"),
        "{checked}"
    );

    // A batch without that step is refused before it is created.
    for steps in [json!([{"name": "mvoe", "instructions": "x"}]), Value::Null] {
        let before = server.call("list_tasks", json!({})).ok().count("/total");
        let request =
            json!({"title": "B", "instructions": "x", "items": ["a"], "steps": steps, "worker": "filer"});
        let refused = server.call("create_batch", request);
        assert_eq!(refused.refusal(), "invalid_argument");
        assert!(refused.message().contains("the batch has no step 'move'"), "{}", refused.message());
        assert_eq!(server.call("list_tasks", json!({})).ok().count("/total"), before);
    }
    // One command for both steps is said in the plan.
    let store = Store::new().with_config(&table(""));
    let mut server = store.serve();
    let dry = json!({"title": "B", "instructions": "x", "items": ["a"], "steps": steps(), "worker": "filer", "dry_run": true});
    let plan = server.call("create_batch", dry).ok();
    assert!(plan.message().contains("runs the same command for 2 of the steps"), "{}", plan.message());

    for (bad, expected) in [
        ("[worker.filer.steps.move]\n", "steps.move.command is missing"),
        ("[worker.filer.steps.move]\ncommand = [\"./x\"]", "absolute path"),
        ("[worker.filer.steps.move]\ncommand = [\"true\"]\nper = \"item\"", "unknown setting 'per'"),
        ("[worker.filer.steps]\nmove = \"x\"", "a table of settings"),
        ("[worker.filer.steps.move]\ncommand = [\"no-such-program-anywhere\"]", "steps.move.command"),
    ] {
        let store = Store::new().with_config(&table(bad));
        let refused = store.tasktally(["config", "check"]).finish();
        assert!(
            refused.code != Some(0) && refused.output().contains(expected),
            "{bad}: {}",
            refused.output()
        );
    }
}
