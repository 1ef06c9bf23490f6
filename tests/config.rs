//! The operator's configuration: what is read, what is refused and why, and that agents cannot reach it.

#![expect(clippy::unwrap_used, reason = "as in any test")]

mod support;

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use support::cli::{Ran, Run};
use support::store::Store;

const PLAIN: &str = "[worker.mail]\ncommand = [\"true\"]\nper = \"item\"\n";

/// A home with a configuration folder that only its owner can write to.
struct Scene {
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let scene = Scene { store: Store::new() };
        std::fs::create_dir_all(scene.folder()).unwrap();
        for folder in [scene.home(), &scene.folder()] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        scene
    }

    fn with(text: &str) -> Self {
        let scene = Scene::new();
        put(&scene.file(), text);
        scene
    }

    fn home(&self) -> &Path {
        self.store.folder()
    }

    fn folder(&self) -> PathBuf {
        self.home().join(".config/tasktally")
    }

    fn file(&self) -> PathBuf {
        self.folder().join("config.toml")
    }

    /// `tasktally config …` as a user with nothing but a home.
    fn config(&self, args: &[&str]) -> Run {
        self.config_at(None, args)
    }

    fn config_at(&self, file: Option<&Path>, args: &[&str]) -> Run {
        let mut command = self.store.command();
        command.env_remove("TASKTALLY_CONFIG").env_remove("XDG_CONFIG_HOME").arg("config");
        if let Some(file) = file {
            command.env("TASKTALLY_CONFIG", file);
        }
        Run::new(command, args)
    }

    /// What was said, with the folder of this test taken out.
    fn told(&self, ran: &Ran) -> String {
        ran.said().replace(self.home().to_str().unwrap(), "HOME")
    }

    #[track_caller]
    fn refused(&self, names: &[&str]) {
        self.refused_at(None, names);
    }

    #[track_caller]
    fn refused_at(&self, file: Option<&Path>, names: &[&str]) {
        let told = self.told(&self.config_at(file, &[]).code(2));
        for name in names {
            assert!(told.contains(name), "no {name:?} in {told:?}");
        }
    }
}

fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn without_a_file_all_is_at_its_default_and_nothing_can_be_started() {
    let scene = Scene::new();
    insta::assert_snapshot!("nothing", scene.told(&scene.config(&[]).success()));
    let json = scene.config(&["--json"]).success().json();
    assert_eq!(json["file"]["found"], false);
    assert_eq!(json["settings"]["limits.max_parallel"], serde_json::json!({"value": 8, "set": false}));
    assert_eq!(json["workers"], serde_json::json!({}));
}

#[test]
fn what_is_set_is_shown_beside_what_is_left_out_and_secrets_are_not() {
    let scene = Scene::with(
        r#"
[limits]
max_parallel = 4

[paths]
roots = ["{home}/code"]

[worker.mail]
command = ["my-agent", "--mcp", "{mcp_config}", "{{braced}}"]
per = "chunk"
cwd = "{home}/code/{project}"
timeout_s = 900

[worker.mail.env]
allow = ["MY_KEY", "AWS_*"]
set = { TOKEN = "hunter2", MODE = "quiet" }
"#,
    );
    let told = scene.told(&scene.config(&[]).success());
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!("set", told);

    let ran = scene.config(&["--json"]).success();
    assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
    let mail = &ran.json()["workers"]["mail"];
    assert_eq!(mail["timeout_s"], serde_json::json!({"value": 900, "set": true}));
    assert_eq!(mail["grace_s"], serde_json::json!({"value": 5, "set": false}));
    assert_eq!(mail["max_parallel"], serde_json::json!({"value": 4, "set": false}));
}

#[test]
fn tasktally_config_names_the_file_before_the_users_folder_does() {
    let scene = Scene::with(PLAIN);
    let other = scene.home().join("other.toml");
    put(&other, "[limits]\nmax_parallel = 3\n");
    let json = scene.config_at(Some(&other), &["--json"]).success().json();
    assert_eq!(json["file"]["from"], "TASKTALLY_CONFIG");
    assert_eq!(json["settings"]["limits.max_parallel"]["value"], 3);
    assert_eq!(json["workers"], serde_json::json!({}));
    let json = scene.config(&["--json"]).success().json();
    assert_eq!(json["file"]["from"], "the user's configuration folder");
    assert!(json["workers"]["mail"].is_object(), "{json}");
}

#[test]
fn a_bad_value_is_named_with_file_line_setting_value_and_limit() {
    let scene = Scene::new();
    let mut seen = String::new();
    let mut check = |text: &str, line: usize, names: &[&str]| {
        put(&scene.file(), text);
        let told = scene.told(&scene.config(&[]).code(2));
        let place = format!("HOME/.config/tasktally/config.toml:{line}: ");
        for name in [place.as_str()].iter().chain(names) {
            assert!(told.contains(name), "{text:?}: no {name:?} in {told:?}");
        }
        seen.push_str(&told);
    };
    // One line of a profile after its three; what the message has to name.
    for (line, names) in [
        ("timeout_s = 0", &["worker.mail.timeout_s = 0", "1 to 86400 seconds; the default is 600"][..]),
        ("timeout_s = 86401", &["86401", "out of range"]),
        ("timeout_s = -5", &["-5", "out of range"]),
        ("timeout_s = \"5m\"", &["\"5m\"", "found a string", "an integer"]),
        ("timeout_s = 1.5", &["1.5", "float"]),
        ("grace_s = 301", &["grace_s = 301", "0 to 300"]),
        ("stalled_after_s = 60", &["stalled_after_s", "once per item", "limited by timeout_s"]),
        ("max_parallel = 65", &["65", "1 to 64"]),
        ("max_starts_per_minute = 0", &["max_starts_per_minute", "the default is no limit"]),
        ("memory_mb = 1", &["memory_mb = 1", "16 to 1048576 MiB"]),
        ("output_limit = 1", &["output_limit = 1", "4096 to"]),
        ("retry_exit_codes = [0]", &["[0]", "0 is out of range", "1 to 255"]),
        ("retry_exit_codes = 75", &["retry_exit_codes = 75", "a list of integers"]),
        ("timout_s = 5", &["worker.mail: unknown setting 'timout_s'", "did you mean 'timeout_s'?"]),
        ("comand = []", &["'comand'", "did you mean 'command'?"]),
        ("frobnicate = 1", &["'frobnicate' (known: command, per"]),
        ("cwd = \"relative\"", &["\"relative\"", "expected an absolute path"]),
        ("cwd = \"/x/{prompt}\"", &["{prompt} is not a placeholder", "{batch}, {chunk}, {project}, {home}"]),
        ("cwd = \"{project}/x\"", &["expected an absolute path"]),
        ("worktree = \"code\"", &["worktree = \"code\"", "expected an absolute path"]),
        ("worktree = \"/x/{chunk}\"", &["{chunk} has no value here"]),
        ("env = 5", &["env = 5", "a table of settings"]),
        ("env = { allow = [\"LD_PRELOAD\"] }", &["env.allow", "'LD_PRELOAD'", "never passed on"]),
        ("env = { allow = [\"*\"] }", &["env.allow", "'*'"]),
        ("env = { allow = [\"NODE_OPTIONS\"] }", &["NODE_OPTIONS is never passed on", "env.set"]),
        ("env = { allow = [\"TASKTALLY_JOB\"] }", &["TASKTALLY_*"]),
        ("env = { set = { TASKTALLY_TASK = \"x\" } }", &["env.set.TASKTALLY_TASK", "cannot be set"]),
        ("env = { set = { LD_PRELOAD = \"x\" } }", &["env.set.LD_PRELOAD", "cannot be set"]),
        ("env = { set = { A-B = \"x\" } }", &["env.set.A-B", "letters, digits"]),
        ("env = { set = { A = 5 } }", &["env.set.A: found an integer", "a string"]),
        ("env = { set = \"TOKEN=hunter2\" }", &["env.set: found a string", "a table of strings"]),
        ("env = { alow = [] }", &["worker.mail.env: unknown setting 'alow'", "'allow'"]),
    ] {
        check(&format!("{PLAIN}{line}\n"), 4, names);
    }
    for (text, line, names) in [
        ("[worker.mail]\nper = \"item\"\n", 2, &["worker.mail.command is missing"][..]),
        ("[worker.mail]\ncommand = [\"a\"]\n", 2, &["worker.mail.per is missing", "\"item\"", "\"chunk\""]),
        ("[worker.mail]\ncommand = \"ls -l\"\n", 2, &["\"ls -l\"", "a list of strings"]),
        ("[worker.mail]\ncommand = []\n", 2, &["command is missing"]),
        ("[worker.mail]\ncommand = [\"./run\"]\n", 2, &["an absolute path"]),
        ("[worker.mail]\ncommand = [\"bin/run\"]\n", 2, &["an absolute path"]),
        ("[worker.mail]\ncommand = [\"\"]\n", 2, &["a name to search for in PATH"]),
        ("[worker.mail]\ncommand = [\"a\", \"{cunk}\"]\n", 2, &["{cunk} is not a placeholder", "{chunk}"]),
        (
            "[worker.mail]\ncommand = [\"a\"]\nper = \"batch\"\n",
            3,
            &["per = \"batch\"", "\"item\" or \"chunk\""],
        ),
        ("[limits]\nmax_parallel = 0\n", 2, &["limits.max_parallel = 0", "1 to 64", "the default is 8"]),
        ("[limit]\n", 1, &["unknown setting 'limit'", "'limits'"]),
        ("\n[workers.mail]\n", 2, &["'workers'", "did you mean 'worker'?"]),
        ("worker = 5\n", 1, &["worker = 5", "a table of settings"]),
        ("[paths]\nroots = [\"/\"]\n", 2, &["not / itself"]),
        ("[paths]\nroots = [\"code\"]\n", 2, &["the absolute path of a folder"]),
        ("[limits\n", 1, &["not valid TOML"]),
        ("a = 1\na = 2\n", 2, &["not valid TOML", "duplicate key"]),
    ] {
        check(text, line, names);
    }
    assert!(!seen.contains("hunter2"), "{seen}");
    insta::assert_snapshot!("refusals", seen);
}

#[test]
fn a_profile_has_one_plain_word_for_a_name() {
    let scene = Scene::new();
    for name in ["\"a b\"", "\"../x\"", "\"\"", "\"-x\"", "\"é\""] {
        put(&scene.file(), &format!("[worker.{name}]\ncommand = [\"true\"]\nper = \"item\"\n"));
        scene.refused(&["is not a valid profile name", "1 to 64 letters"]);
    }
}

#[test]
fn a_file_or_folder_that_others_can_write_to_is_refused() {
    let scene = Scene::with(PLAIN);
    scene.config(&[]).success();
    for bad in [0o664, 0o646, 0o666] {
        mode(&scene.file(), bad);
        scene.refused(&["config.toml can be written to by", &format!("mode {bad:04o}"), "chmod go-w HOME"]);
    }
    mode(&scene.file(), 0o600);
    scene.config(&[]).success();
    for bad in [0o775, 0o757, 0o1777] {
        mode(&scene.folder(), bad);
        scene.refused(&["folder HOME/.config/tasktally can be written to by", &format!("mode {bad:04o}")]);
    }
    mode(&scene.folder(), 0o755);
    mode(&scene.home().join(".config"), 0o777);
    scene.refused(&["folder HOME/.config can be written to by everybody"]);
    // As /tmp: everybody may add to it, nobody may put something in another's place.
    mode(&scene.home().join(".config"), 0o1777);
    scene.config(&[]).success();
}

#[test]
fn a_file_or_folder_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can give files away: src/config/path_checks.rs tests the rule alone");
        return;
    }
    let scene = Scene::with(PLAIN);
    for path in [scene.file(), scene.folder(), scene.home().join(".config")] {
        chown(&path, Some(12_345), None).unwrap();
        scene.refused(&["belongs to user 12345", "chown"]);
        chown(&path, Some(0), None).unwrap();
    }
    scene.config(&[]).success();
}

#[test]
fn links_are_followed_and_all_that_they_lead_through_is_looked_at() {
    let scene = Scene::new();
    let safe = scene.home().join("safe");
    std::fs::create_dir(&safe).unwrap();
    put(&safe.join("real.toml"), PLAIN);
    symlink("../../safe/real.toml", scene.file()).unwrap();
    assert!(scene.config(&["--json"]).success().json()["workers"]["mail"].is_object());

    mode(&safe.join("real.toml"), 0o666);
    scene.refused(&["HOME/safe/real.toml can be written to by everybody"]);
    mode(&safe.join("real.toml"), 0o644);
    mode(&safe, 0o777);
    scene.refused(&["folder HOME/safe can be written to"]);
    mode(&safe, 0o755);

    // A link in the middle of the way counts, too.
    let open = scene.home().join("open");
    std::fs::create_dir(&open).unwrap();
    mode(&open, 0o777);
    symlink(&safe, open.join("way")).unwrap();
    scene.refused_at(Some(&open.join("way/real.toml")), &["folder HOME/open can be written to by everybody"]);

    let round = scene.home().join("round.toml");
    symlink("round.toml", &round).unwrap();
    scene.refused_at(Some(&round), &["more than 40 links"]);
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    let scene = Scene::new();
    std::fs::create_dir(scene.file()).unwrap();
    scene.refused(&["is a folder"]);
    let fifo = scene.home().join("fifo");
    let status = std::process::Command::new("mkfifo").arg(&fifo).args(["-m", "600"]).status();
    assert!(status.unwrap().success());
    scene.refused_at(Some(&fifo), &["not a regular file"]);
    let large = scene.home().join("large.toml");
    put(&large, &"#".repeat(1024 * 1024 + 1));
    scene.refused_at(Some(&large), &["more than 1048576 bytes"]);
    let binary = scene.home().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    scene.refused_at(Some(&binary), &["not UTF-8"]);
}

#[test]
fn a_file_inside_a_project_or_an_allowed_root_is_refused() {
    let scene = Scene::new();
    let project = scene.home().join("project");
    std::fs::create_dir_all(project.join("deep/er")).unwrap();
    let file = project.join("deep/er/config.toml");
    put(&file, PLAIN);
    scene.config_at(Some(&file), &[]).success();
    for mark in [".git", ".hg", ".jj", ".svn"] {
        // A worktree's .git is a file.
        std::fs::write(project.join(mark), "").unwrap();
        scene.refused_at(Some(&file), &["is inside the project HOME/project", mark, "TASKTALLY_CONFIG"]);
        // Nor does a link from a good place help.
        symlink(&file, scene.file()).unwrap();
        scene.refused(&["is inside the project HOME/project"]);
        std::fs::remove_file(scene.file()).unwrap();
        std::fs::remove_file(project.join(mark)).unwrap();
    }
    put(&scene.file(), "[paths]\nroots = [\"{home}\"]\n");
    scene.refused(&["is inside HOME (one of [paths] roots"]);
}

#[test]
fn check_tells_which_profiles_cannot_be_started_and_why() {
    let scene = Scene::with(
        r#"
[paths]
roots = ["{home}/code", "{home}/plain"]
[worker.good]
command = ["true"]
per = "item"
[worker.folder]
command = ["true"]
per = "item"
cwd = "{home}/plain/{batch}/{chunk}"
[worker.gone]
command = ["no-such-program-7"]
per = "item"
[worker.path]
command = ["/no/such/program"]
per = "item"
[worker.outside]
command = ["true"]
per = "item"
cwd = "{home}/secret"
[worker.link]
command = ["true"]
per = "item"
cwd = "{home}/code/out/x"
[worker.upwards]
command = ["true"]
per = "item"
cwd = "{home}/code/../secret"
[worker.project]
command = ["true"]
per = "chunk"
worktree = "{home}/code/{project}"
[worker.tree]
command = ["true"]
per = "chunk"
worktree = "{home}/code"
"#,
    );
    for folder in ["code", "plain", "secret"] {
        std::fs::create_dir(scene.home().join(folder)).unwrap();
    }
    symlink(scene.home().join("secret"), scene.home().join("code/out")).unwrap();
    let json = scene.config(&["check", "--json"]).code(2).json();
    assert_eq!(json["message"], "6 of 9 profiles do not work");
    let check = |name: &str, success: bool, names: &str| {
        let rows = json["workers"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row["success"], Value::Bool(success), "{row}");
        assert!(row["message"].as_str().unwrap().contains(names), "no {names:?} in {row}");
    };
    check("good", true, "/true was started and settled an item");
    check("folder", true, "/true was started and settled an item");
    check("project", true, "its folder is named after a batch's project");
    check("gone", false, "there is no program 'no-such-program-7' in PATH");
    check("path", false, "/no/such/program does not exist or cannot be executed");
    check("outside", false, "is outside the allowed roots ([paths] roots: ");
    check("link", false, "secret/x, which is outside the allowed roots");
    check("upwards", false, "contains '..'");
    check("tree", false, "not a git repository with a commit");
    // What is refused makes nothing.
    assert_eq!(std::fs::read_dir(scene.home().join("secret")).unwrap().count(), 0);
}

#[test]
fn every_example_is_a_configuration_that_is_read() {
    let scene = Scene::new();
    for name in ["claude-code", "codex", "gemini", "script"] {
        let text = scene.config(&["example", name]).success().stdout;
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/workers/{name}.toml"));
        assert_eq!(text, std::fs::read_to_string(kept).unwrap(), "{name}");
        put(&scene.file(), &text);
        let json = scene.config(&["--json"]).success().json();
        assert!(json["workers"][name].is_object(), "{json}");
    }
    scene.config(&["example", "nobody"]).code(2);
}

#[test]
fn the_script_in_the_docs_works() {
    let store = Store::new();
    let docs = include_str!("../docs/workers.md");
    let script = docs.split("```sh\n").find(|block| block.contains("files it by its first word")).unwrap();
    let script = store.write("sort-mail", script.split("```").next().unwrap());
    mode(&script, 0o755);
    let items =
        [r#"{"key": "a", "subject": "Invoice 7"}"#, r#"{"key": "b", "subject": "Hello"}"#, r#"{"key": "c"}"#];
    let items = store.write("items.jsonl", items.join("\n"));
    let (items, script) = (items.to_str().unwrap(), script.to_str().unwrap());
    let ran = store.tasktally(["run", "--json", "--items", items, "--", script]).code(1);
    let done: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(done["batch"]["outcomes"], serde_json::json!({"done": 2, "failed": 1}), "{done}");
    assert_eq!(done["batch"]["categories"]["money"], 1, "{done}");
}

#[test]
fn connect_becomes_the_server_that_the_worker_was_given() {
    let scene = Scene::new();
    let file = scene.home().join("mcp.json");
    put(
        &file,
        r#"{"mcpServers": {"other": {"command": "false"}, "task_manager":
            {"command": "sh", "args": ["-c", "echo $0 $TOKEN $#", "a b"], "env": {"TOKEN": "secret"}, "trust": true}}}"#,
    );
    let connect = |file: Option<&Path>| {
        let mut command = scene.store.command();
        command.env_remove("TASKTALLY_MCP_CONFIG");
        if let Some(file) = file {
            command.env("TASKTALLY_MCP_CONFIG", file);
        }
        Run::new(command, ["connect"])
    };
    assert_eq!(connect(Some(&file)).success().stdout, "a b secret 0\n");
    assert!(connect(None).code(2).stderr.contains("TASKTALLY_MCP_CONFIG is not set"));
    let gone = connect(Some(&scene.home().join("gone.json"))).code(2).stderr;
    assert!(gone.contains("cannot be opened"), "{gone}");
    put(&file, r#"{"mcpServers": {}}"#);
    let none = connect(Some(&file)).code(2).stderr;
    assert!(none.contains("has no server 'task_manager'"), "{none}");
}
