//! How workers are started: text of tasks never becomes part of a command, and a runner reads and checks the current
//! configuration when it starts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use support::cli::Run;
use support::eventually;
use support::server::Server;
use support::store::Store;

/// Texts that look like options, shell code or placeholders.
const TEXTS: [&str; 16] = [
    "--help",
    "-rf",
    "--",
    "-c id",
    "--worker=/bin/sh",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "| touch pwned",
    "a && touch pwned",
    "> pwned",
    "{mcp_config}",
    "{home}/{project}",
    "../../etc/passwd",
    "'\"; DROP TABLE task; --",
    "LD_PRELOAD=/tmp/x.so",
];

/// A store whose workers record how they were started: arguments, environment, working directory and input.
struct Recorder {
    store: Store,
    script: PathBuf,
}

impl Recorder {
    fn new() -> Self {
        let store = Store::new();
        let at = |name: &str| store.folder().join(name);
        std::fs::create_dir_all(store.home().join("code/mail-1")).unwrap();
        std::fs::create_dir(at("record")).unwrap();
        let record = at("record").display().to_string();
        let text = format!(
            "#!/bin/sh\nto=$(mktemp -d {record}/XXXXXX)\ncat /proc/$$/cmdline > $to/argv\n\
             cat /proc/$$/environ > $to/env\nreadlink /proc/$$/cwd > $to/cwd\ncat > $to/input\n\
             if [ \"$TASKTALLY_MCP_CONFIG\" ]; then\n\
             cp \"$TASKTALLY_MCP_CONFIG\" $to/mcp\nstat -c %a \"$TASKTALLY_MCP_CONFIG\" > $to/mode\n\
             stat -c %a \"${{TASKTALLY_MCP_CONFIG%/*}}\" > $to/folder\nfi\ntouch $to/ready\n"
        );
        let mut script = PathBuf::new();
        let store = store.with_config_and_program(|operator| {
            script = operator.join("script");
            std::fs::write(&script, text).unwrap();
            std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
            let profile = |name: &str, per: &str, last: &str| {
                format!(
                    "[worker.{name}]\nper = \"{per}\"\ncwd = \"{{home}}/code/{{project}}\"\n\
                     command = [\"{}\", \"--fixed\", \"two words\", \"$HOME\", \"\", \"{{batch}}\", \"{{chunk}}\"{last}]\n\
                     env = {{ allow = [\"SOME_KEY\"], set = {{ FIXED = \"$(id) {{chunk}}\" }} }}\n",
                    script.display()
                )
            };
            "[paths]\nroots = [\"{home}/code\"]\n".to_owned()
                + &profile("each", "item", "")
                + &profile("all", "chunk", ", \"{mcp_config}\"")
        });
        Recorder { store, script }
    }

    /// A server whose environment contains variables that workers must not see.
    fn serve(&self) -> Server {
        let mut command = self.store.command();
        command.arg("serve").env_remove("LD_LIBRARY_PATH").envs([
            ("SOME_KEY", "let through"),
            ("SECRET_TOKEN", "hunter2"),
            ("BASH_ENV", "/nowhere"),
            ("NODE_OPTIONS", "--require=/nowhere"),
            ("TASKTALLY_ITEM", "forged"),
            ("TASKTALLY_IN_DOUBT", "forged"),
            ("FIXED", "by the agent"),
        ]);
        let mut server = Server::spawn(command);
        server.start_reading();
        server.initialize("2025-11-25");
        server
    }

    fn create(&self, server: &mut Server, profile: &str, items: &Value) -> String {
        let all = TEXTS.join("\n");
        let request = json!({
            "title": TEXTS[5], "instructions": all, "items": items, "project": "mail-1", "worker": profile,
            "finish": {"title": TEXTS[0], "body": all}, "max_attempts": 1, "max_chunk": 50,
        });
        server.call("create_batch", request).ok().text("/batch/id")
    }

    /// The records of all workers that have ended.
    fn started(&self) -> Vec<Started> {
        let folders = std::fs::read_dir(self.store.folder().join("record")).unwrap();
        let paths = folders.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.join("ready").exists()).map(|path| Started::of(&path)).collect()
    }

    /// Asserts that a worker was started with the arguments, variables and folder of its profile.
    fn assert_started_as_configured(&self, started: &Started, batch: &str, more: &[&str]) {
        let chunk = format!("{batch}.01");
        let script = self.script.to_str().unwrap();
        let mut words = vec!["/bin/sh", script, "--fixed", "two words", "$HOME", "", batch, &chunk];
        let config = started.variables.get("TASKTALLY_MCP_CONFIG").cloned();
        words.extend(config.as_deref());
        assert_eq!(started.words, words);
        assert_eq!(started.folder, self.store.home().canonicalize().unwrap().join("code/mail-1"));
        let basic = ["HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];
        let known = |name: &str| {
            basic.contains(&name)
                || name.starts_with("LC_")
                || ["SOME_KEY", "FIXED", "TASKTALLY_TASK", "TASKTALLY_BATCH", "TASKTALLY_RUNNER"]
                    .contains(&name)
                || more.contains(&name)
        };
        let strange: Vec<_> = started.variables.keys().filter(|name| !known(name)).collect();
        assert!(strange.is_empty(), "{strange:?}");
        let value = |name: &str| started.variables.get(name).map(String::as_str);
        assert_eq!(value("SOME_KEY"), Some("let through"));
        assert_eq!(value("FIXED"), Some(format!("$(id) {chunk}").as_str()));
        assert_eq!((value("TASKTALLY_TASK"), value("TASKTALLY_BATCH")), (Some(chunk.as_str()), Some(batch)));
    }

    /// Asserts that no text was run as a command.
    fn assert_no_text_was_run(&self) {
        for place in ["", "home/code", "home/code/mail-1", "store"] {
            assert!(!self.store.folder().join(place).join("pwned").exists(), "in {place:?}");
        }
    }
}

/// The record of a worker's start.
struct Started {
    words: Vec<String>,
    variables: BTreeMap<String, String>,
    folder: PathBuf,
    input: String,
    kept: PathBuf,
}

impl Started {
    fn of(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let parts = |text: &str| -> Vec<String> {
            text.strip_suffix('\0').unwrap_or(text).split('\0').map(str::to_owned).collect()
        };
        let variables = parts(&read("env")).into_iter().map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        Started {
            words: parts(&read("argv")),
            variables: variables.collect(),
            folder: read("cwd").trim_end().into(),
            input: read("input"),
            kept: folder.to_owned(),
        }
    }
}

#[test]
fn text_of_items_and_instructions_never_becomes_part_of_the_command() {
    let recorder = Recorder::new();
    let mut server = recorder.serve();
    let mut items: Vec<Value> = TEXTS.iter().map(|text| json!({"key": text, "text": text})).collect();
    items.push(
        json!({"key": "forged", "in_doubt": {"since": "--x", "by": "a\u{0}b"}, "earlier_steps": {"x": 1}}),
    );
    let batch = recorder.create(&mut server, "each", &json!(items));
    eventually("the batch to be done", || {
        let reply = server.call("get_batch", json!({"id": batch})).ok();
        (reply.text("/batch/status") == "done").then_some(())
    });
    let all = recorder.started();
    assert_eq!(all.len(), items.len(), "each was started once");
    for item in &items {
        let key = item["key"].as_str().unwrap();
        let mine: Vec<_> =
            all.iter().filter(|started| started.variables.get("TASKTALLY_ITEM").unwrap() == key).collect();
        assert_eq!(mine.len(), 1, "{key}");
        recorder.assert_started_as_configured(
            mine[0],
            &batch,
            &["TASKTALLY_ITEM", "TASKTALLY_STEP", "TASKTALLY_NOTE", "TASKTALLY_CONTEXT"],
        );
        let input: Value = serde_json::from_str(&mine[0].input).unwrap();
        assert_eq!(&input, item, "the input is the item and nothing else");
        // What an item says about itself is data: only the runner says that it is in doubt.
        assert!(!mine[0].variables.contains_key("TASKTALLY_IN_DOUBT"), "{key}");
        assert!(!Path::new(&mine[0].variables["TASKTALLY_CONTEXT"]).exists(), "the context is removed");
    }
    recorder.assert_no_text_was_run();
    recorder.store.assert_whole();
}

#[test]
fn a_chunks_worker_gets_its_server_in_a_private_file_that_is_deleted_at_its_end() {
    let recorder = Recorder::new();
    let mut server = recorder.serve();
    let batch = recorder.create(&mut server, "all", &json!(TEXTS));
    eventually("the chunk to fail", || {
        let chunk = server.call("get_task", json!({"id": format!("{batch}.01")})).ok();
        (chunk.text("/task/status") == "failed").then_some(())
    });
    let all = recorder.started();
    assert_eq!(all.len(), 1);
    let started = &all[0];
    recorder.assert_started_as_configured(
        started,
        &batch,
        &["TASKTALLY_JOB", "TASKTALLY_DB", "TASKTALLY_MCP_CONFIG"],
    );
    let kept = |name: &str| std::fs::read_to_string(started.kept.join(name)).unwrap();
    assert_eq!((kept("mode").trim(), kept("folder").trim()), ("600", "700"));
    let config: Value = serde_json::from_str(&kept("mcp")).unwrap();
    let server_config = &config["mcpServers"]["task_manager"];
    let file = recorder.store.url();
    assert_eq!(server_config["args"], json!(["--db", file, "serve", "--toolset", "worker"]));
    assert_eq!(server_config["env"], json!({"TASKTALLY_JOB": started.variables["TASKTALLY_JOB"]}));
    for text in TEXTS {
        assert!(!started.input.contains(text), "the prompt holds {text:?}");
    }
    assert!(!Path::new(&started.variables["TASKTALLY_MCP_CONFIG"]).exists());
    assert_eq!(std::fs::read_dir(recorder.store.data_folder().join("jobs")).unwrap().count(), 0);
    // The job is over.
    let mut command = recorder.store.command();
    command.env("TASKTALLY_JOB", &started.variables["TASKTALLY_JOB"]);
    let ran = Run::new(command, ["update-task", &batch, "--body", "- late"]).code(1);
    assert!(ran.output().contains("is lost: the task is failed"), "{}", ran.output());
    let late = "SELECT late FROM receipt WHERE text = '- late'";
    assert!(recorder.store.sql().row::<bool>(late, &[]));
    recorder.assert_no_text_was_run();
}

#[test]
fn job_files_that_a_killed_runner_left_are_deleted_by_the_next() {
    let store = Store::new().with_config("[worker.mail]\ncommand = [\"true\"]\nper = \"item\"\n");
    let mut server = store.serve();
    let request = json!({"title": "Sort", "instructions": "Sort it.", "items": ["a"]});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    std::fs::create_dir(store.data_folder().join("jobs")).unwrap();
    let jobs = store.data_folder().join("jobs");
    let left = jobs.join(format!("{batch}.01abc.json"));
    let others = jobs.join(format!("{batch}x.01abc.json"));
    [&left, &others].into_iter().for_each(|file| std::fs::write(file, "{}").unwrap());
    store.tasktally(["work", "--batch", &batch, "--worker", "mail"]).success();
    assert!(!left.exists() && others.exists());
}

#[test]
fn a_configuration_that_was_replaced_starts_no_worker() {
    let good = "[worker.mail]\ncommand = [\"touch\", \"{home}/ran\"]\nper = \"item\"\n";
    let store = Store::new().with_config(good);
    let mut server = store.serve();
    let request = json!({"title": "Sort", "instructions": "Sort it.", "items": ["a"]});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    // As after the death of a runner that worked the batch.
    store.sql().execute("UPDATE batch SET worker_profile = 'mail'", &[]).unwrap();
    let file = store.config();
    let put = |path: &Path, mode: u32| {
        std::fs::write(path, good).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let here = store.write("mine.toml", good);
    let project = store.folder().join("project");
    std::fs::create_dir_all(project.join(".git")).unwrap();
    put(&project.join("config.toml"), 0o600);
    symlink(file.with_file_name("real.toml"), project.join("way.toml")).unwrap();
    symlink(file.with_file_name("real.toml"), store.folder().join("way.toml")).unwrap();
    let link = |to: PathBuf| symlink(to, &file).unwrap();
    let cases: [(&str, &dyn Fn(), &str, bool); 10] = [
        ("gone", &|| {}, "there is no profile 'mail'", true),
        (
            "another's text",
            &|| std::fs::write(&file, "[worker.other]\ncommand = [\"true\"]\nper = \"item\"\n").unwrap(),
            "there is no profile 'mail'",
            true,
        ),
        ("no configuration", &|| std::fs::write(&file, "touch ran").unwrap(), "not valid TOML", true),
        ("everybody's", &|| put(&file, 0o666), "can be written to by everybody", true),
        ("the group's", &|| put(&file, 0o664), "can be written to by its group", true),
        ("a folder", &|| std::fs::create_dir(&file).unwrap(), "is a folder", true),
        ("a link into a project", &|| link(project.join("config.toml")), "is inside the project", true),
        ("a link through a project", &|| link(project.join("way.toml")), "is inside the project", true),
        ("a link to where the agent is", &|| link(here.clone()), "a folder that agents write to", false),
        (
            "a link through where the agent is",
            &|| link(store.folder().join("way.toml")),
            "a folder that agents write to",
            false,
        ),
    ];
    put(&file.with_file_name("real.toml"), 0o600);
    for (what, replace, words, for_persons) in cases {
        let gone = std::fs::remove_file(&file).or_else(|_| std::fs::remove_dir(&file));
        gone.or_else(|error| if file.symlink_metadata().is_err() { Ok(()) } else { Err(error) }).unwrap();
        replace();
        let before = server.read_task(&batch).length("/task/receipts");
        let named = server.call("control_batch", json!({"id": batch, "action": "start", "worker": "mail"}));
        assert_eq!(named.refusal(), "invalid_argument", "{what}");
        assert!(named.message().contains(words), "{what}: {}", named.message());
        assert_eq!(server.read_task(&batch).length("/task/receipts"), before, "{what}");
        let again = server.call("control_batch", json!({"id": batch, "action": "start"}));
        assert!(!again.succeeded() && !again.is_error, "{what}: {}", again.value);
        assert!(again.message().contains("no runner could be started"), "{what}: {}", again.message());
        assert!(again.message().contains(words), "{what}: {}", again.message());
        if for_persons {
            for more in [&[][..], &["--worker", "mail"], &["--detach"]] {
                let ran = store.tasktally([&["work", "--batch", &batch][..], more].concat()).finish();
                assert!(matches!(ran.code, Some(1 | 2)) && ran.output().contains(words), "{what}: {ran:?}");
            }
        }
        assert!(!store.home().join("ran").exists(), "{what}: a worker was started");
    }
    let left: i64 = store.sql().row("SELECT count(*) FROM runner", &[]);
    assert_eq!(left, 0);
}

#[test]
fn a_command_does_not_record_an_unknown_profile() {
    let store = Store::new().with_config("[worker.mail]\ncommand = [\"true\"]\nper = \"item\"\n");
    let mut server = store.serve();
    let request = json!({"title": "Sort", "instructions": "Sort it.", "items": ["a"]});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let before = server.read_task(&batch);
    let ran = store.tasktally(["work", "--batch", &batch, "--worker", "/bin/sh"]).code(2);
    assert!(ran.output().contains("there is no profile '/bin/sh'"), "{}", ran.output());
    assert_eq!(server.read_task(&batch), before);
}
