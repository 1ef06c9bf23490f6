//! `tasktally demo`: a whole batch with nothing to prepare, and nothing left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::cli::Run;
use support::mount::Mount;
use support::screen::Screen;
use support::skip::has_program;
use support::store::Store;
use support::{run_in_parallel, send_signal, wait_for_exit};

/// A folder for a demo, whose files for other purposes must stay as they are.
struct Folder {
    /// `TASKTALLY_DB` names this store, which does not exist.
    store: Store,
    /// The folder for temporary files.
    temporary: PathBuf,
}

impl Folder {
    fn new() -> Self {
        // The demo reads no configuration, so a wrong one changes nothing.
        let store = Store::new_sqlite().with_config("this is = no configuration");
        let temporary = store.folder().join("temporary files");
        std::fs::create_dir(&temporary).unwrap();
        Folder { store, temporary }
    }

    fn command(&self) -> Command {
        let mut command = self.store.command();
        command.env("TMPDIR", &self.temporary);
        command
    }

    fn demo(&self, args: &[&str]) -> Run {
        Run::new(self.command(), ["demo"].iter().chain(args))
    }

    /// Asserts that the demo left nothing: no file, and no store where `TASKTALLY_DB` names one.
    #[track_caller]
    fn assert_nothing_left(&self) {
        assert_eq!(entries(&self.temporary), [""; 0], "temporary files");
        assert!(!self.store.file().exists(), "the demo touched the store of TASKTALLY_DB");
        assert_eq!(entries(self.store.folder()), ["home", "temporary files"]);
        assert_eq!(entries(&self.store.home()), [""; 0], "the home folder");
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The output without what differs from run to run: the time and the path of the program.
fn stable(output: &str) -> String {
    let output = output.replace(env!("CARGO_BIN_EXE_tasktally"), "PATH/tasktally");
    let lines = output.lines().map(|line| match line.split_once(" items in ") {
        Some((count, _)) => format!("{count} items in …"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_item_is_accounted_for_and_nothing_is_left_behind() {
    let folder = Folder::new();
    let ran = folder.demo(&[]).success();
    insta::assert_snapshot!("piped", stable(&ran.stdout));
    assert!(!ran.output().contains('\u{1b}'), "control sequences without a terminal: {}", ran.output());
    assert!(ran.stderr.contains("663 of 663 items to do in 10 chunks, 8 workers"), "{}", ran.stderr);
    folder.assert_nothing_left();
}

#[test]
fn json_has_the_events_of_a_run_and_the_store() {
    let folder = Folder::new();
    let ran = folder.demo(&["--json"]).success();
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "store");
    assert_eq!(events[0]["kept"], false);
    let items: Vec<&Value> = events.iter().filter(|event| event["event"] == "item").collect();
    assert_eq!(items.len(), 663);
    let chunks: std::collections::BTreeSet<_> = items.iter().map(|item| item["chunk"].as_str()).collect();
    assert_eq!(chunks.len(), 10);
    let done = events.last().unwrap();
    assert_eq!((&done["event"], &done["batch"]["processed"]), (&"done".into(), &663.into()), "{done}");
    folder.assert_nothing_left();
}

/// The command that the demo printed after the line that begins with `before`, split as a shell does.
fn printed_command(stdout: &str, before: &str) -> Vec<String> {
    let mut lines = stdout.lines().skip_while(|line| !line.trim().starts_with(before));
    shlex::split(lines.nth(1).unwrap_or_else(|| panic!("no {before} in {stdout}"))).unwrap()
}

#[test]
fn a_kept_store_is_opened_with_the_command_that_was_printed() {
    let folder = Folder::new();
    let named = folder.store.folder().join("kept here");
    for (args, place) in [(vec!["--keep"], &folder.temporary), (vec!["--keep", "kept here"], &named)] {
        let ran = folder.demo(&args).success();
        let words = printed_command(&ran.stdout, "Look at the batch");
        let [program, db, path, watch, batch] = &words[..] else { panic!("{words:?}") };
        assert_eq!((db.as_str(), watch.as_str()), ("--db", "watch"));
        assert!(Path::new(path).starts_with(place.canonicalize().unwrap()), "{path}");
        assert!(ran.stdout.contains(&format!("The store is kept in {path}.")), "{}", ran.stdout);
        let mut command = Command::new(program);
        command.env("HOME", folder.store.home()).env_remove("TASKTALLY_DB");
        let reply = Run::new(command, ["--db", path, "get-batch", batch, "--json"]).success().json();
        assert_eq!(reply["batch"]["total"], 663, "{reply}");
        assert_eq!(reply["batch"]["outcomes"]["done"], 663, "{reply}");
        assert_eq!(reply["batch"]["status"], "done");
        let kept = Path::new(path).parent().unwrap();
        assert!(kept.join("commits.jsonl").exists() && kept.join(format!("batch-{batch}")).is_dir());
        Run::new(folder.command(), ["--db", path, "verify"]).success();
    }
    assert!(!folder.store.file().exists());
    let refused = folder.demo(&["--keep", "kept here"]).code(2).stderr;
    assert!(refused.contains("has files in it; name a new or empty folder"), "{refused}");
}

#[test]
fn several_demos_run_at_once() {
    let folder = Folder::new();
    run_in_parallel(2, |_| {
        let ran = folder.demo(&[]).success();
        assert!(ran.stdout.contains("read 368, archive 205, look 90"), "{}", ran.stdout);
    });
    folder.assert_nothing_left();
}

#[test]
fn a_stopped_demo_leaves_nothing_behind() {
    let mut stopped_early = 0;
    for signal in ["INT", "TERM", "HUP"] {
        let folder = Folder::new();
        let mut command = folder.command();
        command.args(["demo", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The batch has 663 items, so it has not ended at the first one.
        lines.find(|line| line.contains("\"event\":\"item\"")).unwrap();
        send_signal(signal, child.id());
        let rest: Vec<String> = lines.collect();
        let code = wait_for_exit(&mut child).code();
        let done: Value = serde_json::from_str(rest.last().unwrap()).unwrap();
        // On a busy machine all items may be done before the signal arrives; whatever is left is not worked.
        let processed = done["batch"]["processed"].as_u64().unwrap();
        stopped_early += u32::from(processed < 663);
        assert_eq!(code, Some(i32::from(processed < 663)), "{signal}: {done}");
        folder.assert_nothing_left();
    }
    assert!(stopped_early > 0, "no signal came before the end");
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_the_way_out() {
    let folder = Folder::new();
    let refusal = |temporary: &Path| {
        let mut command = folder.store.command();
        command.env("TMPDIR", temporary);
        Run::new(command, ["demo"]).code(2).stderr
    };
    let missing = refusal(&folder.store.folder().join("missing"));
    assert!(
        missing.contains("missing: No such file or directory") && missing.contains("TMPDIR"),
        "{missing}"
    );
    let Some(disk) = Mount::tmpfs(folder.store.folder().join("disk"), "64k") else { return };
    let full = refusal(&folder.store.folder().join("disk"));
    assert!(full.contains("commits.jsonl") && full.contains("No space left on device"), "{full}");
    assert!(full.contains("demo --keep DIR"), "{full}");
    assert_eq!(entries(&folder.store.folder().join("disk")), [""; 0]);
    disk.remount("ro");
    let read_only = refusal(&folder.store.folder().join("disk"));
    assert!(read_only.contains("Read-only file system"), "{read_only}");
}

/// A disk that becomes full while the batch is created or worked.
#[test]
fn a_disk_that_becomes_full_during_the_work_is_an_error_and_is_cleaned_up() {
    let folder = Folder::new();
    let Some(_disk) = Mount::tmpfs(folder.store.folder().join("disk"), "700k") else { return };
    let disk = folder.store.folder().join("disk");
    let mut command = folder.store.command();
    command.env("TMPDIR", &disk);
    let ran = Run::new(command, ["demo"]).finish();
    assert!(ran.code == Some(1) || ran.code == Some(2), "{ran:?}");
    assert!(ran.stderr.contains("full") || ran.stderr.contains("space"), "{}", ran.stderr);
    assert_eq!(entries(&disk), [""; 0]);
}

#[test]
fn a_named_store_and_a_background_worker_are_refused() {
    let folder = Folder::new();
    let named = folder.demo(&["--db", "x.db"]).code(2).stderr;
    assert!(named.contains("the demo has a store of its own"), "{named}");
    let mut command = folder.command();
    command.env("TASKTALLY_JOB", "k3m9p0q1r2s3.01:token");
    let worker = Run::new(command, ["demo"]).code(2).stderr;
    assert!(worker.contains("TASKTALLY_JOB is set"), "{worker}");
    folder.assert_nothing_left();
}

#[test]
fn commands_are_printed_as_a_package_runner_starts_them() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.env("TASKTALLY_LAUNCHER", "npx");
    let stdout = Run::new(command, ["demo"]).success().stdout;
    for printed in
        ["npx -y tasktally init claude-code", "npx -y tasktally demo --keep", "npx -y tasktally run "]
    {
        assert!(stdout.contains(printed), "{stdout}");
    }
}

/// The worker in the program files a commit as the shell script of the example does.
#[test]
fn the_worker_agrees_with_the_script_of_the_example() {
    let folder = Folder::new();
    let items = std::fs::read_to_string("examples/commits.jsonl").unwrap();
    for item in items.lines().filter(|item| !item.contains('\\')).step_by(40) {
        let key = serde_json::from_str::<Value>(item).unwrap()["key"].as_str().unwrap().to_owned();
        let input = folder.temporary.join("item.json");
        std::fs::write(&input, item).unwrap();
        let answer = |mut command: Command| -> Value {
            command.env("TASKTALLY_ITEM", &key).stdin(std::fs::File::open(&input).unwrap());
            serde_json::from_str(&Run::new(command, [""; 0]).success().stdout).unwrap()
        };
        let mut worker = folder.command();
        worker.arg("demo-worker");
        let (of_worker, of_script) = (answer(worker), answer(Command::new("examples/file-commit.sh")));
        assert_eq!(of_worker["category"], of_script["category"], "{item}");
        assert_eq!(of_worker["receipt"], of_script["receipt"], "{item}");
    }
    let mut command = folder.command();
    command.stdin(Stdio::null());
    let refused = Run::new(command, ["demo-worker"]).code(2).stderr;
    assert!(refused.contains("not a commit"), "{refused}");
}

/// Starts the demo in a terminal of 80 columns and 24 rows.
fn screen(folder: &Folder, variables: &str) -> Screen {
    let variables = format!("TMPDIR='{}' {variables}", folder.temporary.display());
    Screen::command(&folder.store, (80, 24), &variables, "demo")
}

#[test]
fn the_table_and_the_next_commands_fit_into_a_small_terminal() {
    if !has_program("tmux") {
        return;
    }
    let folder = Folder::new();
    let shown = screen(&folder, "").wait_for(&["ended with 0"]);
    for part in
        [" chunk ", "Q1 2025", "10 chunks", "663 items in ", "init claude-code", "demo --keep", "./worker.sh"]
    {
        assert!(shown.contains(part), "no {part}:\n{shown}");
    }
    assert!(!shown.contains("━"), "a bar is left:\n{shown}");
    let rows: Vec<&str> = shown.lines().filter(|line| line.contains(" done ")).collect();
    assert_eq!(rows.len(), 12, "ten chunks, the heading and the sum: {shown}");
    let is_whole = |row: &&str| ["read ", "archive ", "look "].iter().all(|category| row.contains(category));
    assert_eq!(rows.iter().filter(|row| is_whole(row)).count(), 11, "{shown}");
}

/// Whether a text for a terminal has control sequences that set a colour.
fn has_colours(text: &str) -> bool {
    text.split("\u{1b}[").skip(1).any(|sequence| {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        let codes = sequence[..end].split(';').filter_map(|code| code.parse::<u8>().ok());
        sequence[end..].starts_with('m') && codes.into_iter().any(|code| (30..=37).contains(&code))
    })
}

#[test]
fn bars_are_drawn_with_colours_only_where_they_are_wanted() {
    if !has_program("tmux") {
        return;
    }
    for (variables, bars, colours) in
        [("TERM=screen", true, true), ("TERM=screen NO_COLOR=1", true, false), ("TERM=dumb", false, false)]
    {
        let folder = Folder::new();
        // The shell of the terminal writes all of it to a file as well.
        let recorded = folder.temporary.join("screen");
        let terminal = screen(&folder, &format!("{variables}; sleep 0.5; true"));
        terminal.record(recorded.to_str().unwrap());
        terminal.wait_for(&["ended with 0"]);
        let sent = std::fs::read_to_string(recorded).unwrap();
        assert_eq!(sent.contains('━'), bars, "{variables}: {sent}");
        assert_eq!(has_colours(&sent), colours, "{variables}: {sent}");
        if !bars {
            assert!(sent.contains("Q1 2025, chunk 1 of 10: done ("), "lines in place of bars: {sent}");
        }
    }
}

#[test]
fn ctrl_c_in_a_terminal_stops_the_demo_and_says_what_became_of_the_store() {
    if !has_program("tmux") {
        return;
    }
    let folder = Folder::new();
    // The terminal signals its shell too, which must live to show the exit code.
    let terminal = screen(&folder, "; trap : INT; true");
    terminal.wait_for(&["/663"]);
    terminal.press(&["C-c"]);
    let shown = terminal.wait_for(&["Stopped.", "The temporary store is deleted.", "ended with 1"]);
    assert!(!shown.contains("--resume"), "a command for a store that does not exist: {shown}");
    assert_eq!(entries(&folder.temporary), [""; 0]);
}
