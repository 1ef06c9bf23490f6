//! The operator's configuration: what is read, what is refused and why, and that agents cannot change it.

#![expect(clippy::unwrap_used, reason = "as in any test")]

#[path = "config/examples.rs"]
mod examples;
mod support;

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use support::cli::{Ran, Run};
use support::skip::skip;
use support::store::Store;

const PLAIN: &str = "[worker.mail]\ncommand = [\"true\"]\nper = \"item\"\n";

/// A home folder with a configuration folder that only its owner can write to.
struct ConfigHome {
    store: Store,
}

impl ConfigHome {
    fn new() -> Self {
        let home = ConfigHome { store: Store::new() };
        std::fs::create_dir_all(home.folder()).unwrap();
        for folder in [home.path(), &home.folder()] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        home
    }

    fn with(text: &str) -> Self {
        let home = ConfigHome::new();
        write_file(&home.file(), text);
        home
    }

    fn path(&self) -> &Path {
        self.store.folder()
    }

    fn folder(&self) -> PathBuf {
        self.path().join(".config/tasktally")
    }

    fn file(&self) -> PathBuf {
        self.folder().join("config.toml")
    }

    /// `tasktally config …` for a user with this home folder.
    fn config(&self, args: &[&str]) -> Run {
        self.config_at(None, args)
    }

    fn config_at(&self, file: Option<&Path>, args: &[&str]) -> Run {
        let mut command = self.store.command();
        command.env_remove("TASKTALLY_CONFIG").env_remove("XDG_CONFIG_HOME").arg("config");
        command.env("HOME", self.path());
        if let Some(file) = file {
            command.env("TASKTALLY_CONFIG", file);
        }
        Run::new(command, args)
    }

    /// The output with the path of the home folder replaced by `HOME`.
    fn output(&self, ran: &Ran) -> String {
        ran.output().replace(self.path().to_str().unwrap(), "HOME")
    }

    #[track_caller]
    fn refused(&self, names: &[&str]) {
        self.refused_at(None, names);
    }

    #[track_caller]
    fn refused_at(&self, file: Option<&Path>, names: &[&str]) {
        let output = self.output(&self.config_at(file, &[]).code(2));
        for name in names {
            assert!(output.contains(name), "no {name:?} in {output:?}");
        }
    }
}

fn write_file(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn without_a_file_all_settings_have_their_default_and_no_profile_exists() {
    let home = ConfigHome::new();
    insta::assert_snapshot!("nothing", home.output(&home.config(&[]).success()));
    let json = home.config(&["--json"]).success().json();
    assert_eq!(json["file"]["found"], false);
    assert_eq!(json["settings"]["limits.max_parallel"], serde_json::json!({"value": 8, "set": false}));
    assert_eq!(json["workers"], serde_json::json!({}));
}

#[test]
fn set_and_default_values_are_shown_without_secrets() {
    let home = ConfigHome::with(
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
    let output = home.output(&home.config(&[]).success());
    assert!(!output.contains("hunter2"), "{output}");
    insta::assert_snapshot!("set", output);

    let ran = home.config(&["--json"]).success();
    assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
    let mail = &ran.json()["workers"]["mail"];
    assert_eq!(mail["timeout_s"], serde_json::json!({"value": 900, "set": true}));
    assert_eq!(mail["grace_s"], serde_json::json!({"value": 5, "set": false}));
    assert_eq!(mail["max_parallel"], serde_json::json!({"value": 4, "set": false}));
}

#[test]
fn the_variable_tasktally_config_takes_precedence_over_the_users_folder() {
    let home = ConfigHome::with(PLAIN);
    let other = home.path().join("other.toml");
    write_file(&other, "[limits]\nmax_parallel = 3\n");
    let json = home.config_at(Some(&other), &["--json"]).success().json();
    assert_eq!(json["file"]["from"], "TASKTALLY_CONFIG");
    assert_eq!(json["settings"]["limits.max_parallel"]["value"], 3);
    assert_eq!(json["workers"], serde_json::json!({}));
    let json = home.config(&["--json"]).success().json();
    assert_eq!(json["file"]["from"], "the user's configuration folder");
    assert!(json["workers"]["mail"].is_object(), "{json}");
}

#[test]
fn a_bad_value_is_named_with_file_line_setting_value_and_limit() {
    let home = ConfigHome::new();
    let mut seen = String::new();
    let mut check = |text: &str, line: usize, names: &[&str]| {
        write_file(&home.file(), text);
        let output = home.output(&home.config(&[]).code(2));
        let place = format!("HOME/.config/tasktally/config.toml:{line}: ");
        for name in [place.as_str()].iter().chain(names) {
            assert!(output.contains(name), "{text:?}: no {name:?} in {output:?}");
        }
        seen.push_str(&output);
    };
    // A line that is added to the three lines of a profile, and what the message must contain.
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
        (
            "retry = { first_delay_s = 0 }",
            &["worker.mail.retry.first_delay_s = 0", "0.01 to 3600 seconds; the default is 1"],
        ),
        ("retry = { factor = \"2\" }", &["retry.factor", "a number, 1 to 100"]),
        (
            "retry = { first_delay_s = 500 }",
            &["first_delay_s = 500", "longer than longest_delay_s, 300 seconds"],
        ),
        ("retry = { delay = 5 }", &["unknown setting 'delay'"]),
        ("pause_after_failures = -1", &["pause_after_failures = -1", "0 to 1000000 failures in a row"]),
        ("retry_exit_codes = 75", &["retry_exit_codes = 75", "a list of integers"]),
        ("timout_s = 5", &["worker.mail: unknown setting 'timout_s'", "did you mean 'timeout_s'?"]),
        ("comand = []", &["'comand'", "did you mean 'command'?"]),
        ("frobnicate = 1", &["'frobnicate' (known: 'command', 'per'"]),
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
        // A setting that is unknown is named before the one that it may misspell.
        ("[worker.mail]\ncommnd = [\"a\"]\n", 2, &["unknown setting 'commnd'", "did you mean 'command'?"]),
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
fn a_profile_name_is_one_plain_word() {
    let home = ConfigHome::new();
    for name in ["\"a b\"", "\"../x\"", "\"\"", "\"-x\"", "\"é\""] {
        write_file(&home.file(), &format!("[worker.{name}]\ncommand = [\"true\"]\nper = \"item\"\n"));
        home.refused(&["is not a valid profile name", "1 to 64 letters"]);
    }
}

#[test]
fn a_file_or_folder_that_others_can_write_to_is_refused() {
    let home = ConfigHome::with(PLAIN);
    home.config(&[]).success();
    for bad in [0o664, 0o646, 0o666] {
        set_mode(&home.file(), bad);
        home.refused(&["config.toml can be written to by", &format!("mode {bad:04o}"), "chmod go-w HOME"]);
    }
    set_mode(&home.file(), 0o600);
    home.config(&[]).success();
    for bad in [0o775, 0o757, 0o1777] {
        set_mode(&home.folder(), bad);
        home.refused(&["folder HOME/.config/tasktally can be written to by", &format!("mode {bad:04o}")]);
    }
    set_mode(&home.folder(), 0o755);
    set_mode(&home.path().join(".config"), 0o777);
    home.refused(&["folder HOME/.config can be written to by everybody"]);
    // Like /tmp: every user may add files, but none may replace files of another.
    set_mode(&home.path().join(".config"), 0o1777);
    home.config(&[]).success();
}

#[test]
fn a_file_or_folder_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        skip("only root may give a file to another user");
        return;
    }
    let home = ConfigHome::with(PLAIN);
    for path in [home.file(), home.folder(), home.path().join(".config")] {
        chown(&path, Some(12_345), None).unwrap();
        home.refused(&["belongs to user 12345", "chown"]);
        chown(&path, Some(0), None).unwrap();
    }
    home.config(&[]).success();
}

#[test]
fn symbolic_links_are_followed_and_every_folder_on_the_way_is_checked() {
    let home = ConfigHome::new();
    let safe = home.path().join("safe");
    std::fs::create_dir(&safe).unwrap();
    write_file(&safe.join("real.toml"), PLAIN);
    symlink("../../safe/real.toml", home.file()).unwrap();
    assert!(home.config(&["--json"]).success().json()["workers"]["mail"].is_object());

    set_mode(&safe.join("real.toml"), 0o666);
    home.refused(&["HOME/safe/real.toml can be written to by everybody"]);
    set_mode(&safe.join("real.toml"), 0o644);
    set_mode(&safe, 0o777);
    home.refused(&["folder HOME/safe can be written to"]);
    set_mode(&safe, 0o755);

    // A link in the middle of the path counts, too.
    let open = home.path().join("open");
    std::fs::create_dir(&open).unwrap();
    set_mode(&open, 0o777);
    symlink(&safe, open.join("way")).unwrap();
    home.refused_at(Some(&open.join("way/real.toml")), &["folder HOME/open can be written to by everybody"]);

    let round = home.path().join("round.toml");
    symlink("round.toml", &round).unwrap();
    home.refused_at(Some(&round), &["more than 40 links"]);
}

#[test]
fn a_configuration_that_is_no_regular_text_file_is_refused_without_waiting() {
    let home = ConfigHome::new();
    std::fs::create_dir(home.file()).unwrap();
    home.refused(&["is a folder"]);
    let fifo = home.path().join("fifo");
    let status = std::process::Command::new("mkfifo").arg(&fifo).args(["-m", "600"]).status();
    assert!(status.unwrap().success());
    home.refused_at(Some(&fifo), &["not a regular file"]);
    let large = home.path().join("large.toml");
    write_file(&large, &"#".repeat(1024 * 1024 + 1));
    home.refused_at(Some(&large), &["more than 1048576 bytes"]);
    let binary = home.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    home.refused_at(Some(&binary), &["not UTF-8"]);
}

#[test]
fn a_file_inside_a_project_or_an_allowed_root_is_refused() {
    let home = ConfigHome::new();
    let project = home.path().join("project");
    std::fs::create_dir_all(project.join("deep/er")).unwrap();
    let file = project.join("deep/er/config.toml");
    write_file(&file, PLAIN);
    home.config_at(Some(&file), &[]).success();
    for mark in [".git", ".hg", ".jj", ".svn"] {
        // A worktree's .git is a file.
        std::fs::write(project.join(mark), "").unwrap();
        home.refused_at(Some(&file), &["is inside the project HOME/project", mark, "TASKTALLY_CONFIG"]);
        // A link from an allowed folder does not help.
        symlink(&file, home.file()).unwrap();
        home.refused(&["is inside the project HOME/project"]);
        std::fs::remove_file(home.file()).unwrap();
        std::fs::remove_file(project.join(mark)).unwrap();
    }
    write_file(&home.file(), "[paths]\nroots = [\"{home}\"]\n");
    home.refused(&["is inside HOME (one of [paths] roots"]);
}

#[test]
fn check_reports_which_profiles_cannot_be_started_and_why() {
    let home = ConfigHome::with(
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
        std::fs::create_dir(home.path().join(folder)).unwrap();
    }
    symlink(home.path().join("secret"), home.path().join("code/out")).unwrap();
    let json = home.config(&["check", "--run", "--json"]).code(2).json();
    assert_eq!(json["message"], "6 of 9 profiles do not work");
    let check = |name: &str, success: bool, names: &str| {
        let rows = json["workers"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row["success"], Value::Bool(success), "{row}");
        assert!(row["message"].as_str().unwrap().contains(names), "no {names:?} in {row}");
    };
    check("good", true, "/true was started and settled an item");
    check("folder", true, "/true was started and settled an item");
    check("project", true, "its folder depends on a batch's project");
    check("gone", false, "there is no program 'no-such-program-7' in PATH");
    check("path", false, "/no/such/program does not exist or cannot be executed");
    check("outside", false, "is outside the allowed roots ([paths] roots: ");
    check("link", false, "secret/x, which is outside the allowed roots");
    check("upwards", false, "contains '..'");
    check("tree", false, "not a git repository with a commit");
    // The refused profile created nothing.
    assert_eq!(std::fs::read_dir(home.path().join("secret")).unwrap().count(), 0);
}

#[test]
fn check_runs_nothing_unless_it_is_asked_to_and_names_a_missing_interpreter() {
    let home = ConfigHome::with("");
    let script = |name: &str, text: &str| {
        let file = home.path().join(name);
        std::fs::write(&file, text).unwrap();
        set_mode(&file, 0o755);
        file
    };
    let ran = home.path().join("ran");
    let touches = script("touches", &format!("#!/bin/sh\ntouch {}\n", ran.display()));
    let profile =
        |name: &str, file: &Path| format!("[worker.{name}]\nper = \"item\"\ncommand = [{file:?}]\n");
    write_file(&home.file(), &profile("w", &touches));
    let looked = home.config(&["check"]).success();
    assert!(looked.stdout.contains("no command was run"), "{}", looked.stdout);
    assert!(!ran.exists(), "the command was run");
    let checked = home.config(&["check", "--run"]).success();
    assert!(!checked.stdout.contains("tasktally logs"), "{}", checked.stdout);
    assert!(checked.stderr.contains("runs [") && checked.stderr.contains("touches"), "{}", checked.stderr);
    assert!(ran.exists());

    let missing = script("missing", "#!/no/such/python\n");
    let crlf = script("crlf", "#!/bin/sh\r\necho\r\n");
    write_file(&home.file(), &(profile("missing", &missing) + &profile("crlf", &crlf)));
    for words in [&["check"][..], &["check", "--run"]] {
        let refused = home.config(words).code(2);
        for part in ["'/no/such/python'", "CRLF", "2 of 2 profiles do not work"] {
            assert!(refused.stdout.contains(part), "{part}: {}", refused.stdout);
        }
    }
}
