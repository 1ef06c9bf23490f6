//! A hostile repository as the folder of a worker.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::cli::Run;
use crate::support::eventually;
use crate::support::store::Store;

#[track_caller]
fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"])
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// A store with a profile whose worker runs `script` in a worktree of the repository `home/code/mail`.
fn store_with_repository(script: &str) -> (Store, PathBuf) {
    let profile = format!(
        "[paths]\nroots = [\"{{home}}/code\"]\n[worker.w]\nper = \"item\"\nworktree = \"{{home}}/code/mail\"\n\
         command = [\"sh\", \"-c\", {script:?}]\n"
    );
    let store = Store::new().with_config(&profile);
    let repository = store.home().join("code/mail");
    std::fs::create_dir_all(&repository).unwrap();
    git(&repository, &["init", "--quiet"]);
    std::fs::write(repository.join("a.txt"), "a\n").unwrap();
    std::fs::write(repository.join(".gitattributes"), "*.txt filter=own\n").unwrap();
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "--quiet", "-m", "first"]);
    (store, repository)
}

/// The repository's configuration includes a file, but only on the branches that Tasktally makes: there it names a filter,
/// which git runs on checkout with the environment of the runner. The check of the configuration was enough to run it.
#[test]
fn a_repository_runs_no_filter_that_it_includes_for_the_branches_of_worktrees() {
    let (store, repository) = store_with_repository("cat a.txt");
    let stolen = store.folder().join("stolen");
    let filter = format!("[filter \"own\"]\n\tsmudge = \"env > {}; cat\"\n", stolen.display());
    std::fs::write(repository.join(".git/more"), filter).unwrap();
    git(&repository, &["config", "includeIf.onbranch:tasktally/**.path", "more"]);
    let mut command = store.command();
    command.env("ANTHROPIC_API_KEY", "secret");
    let ran = Run::new(command, ["config", "check", "--run"]).success();
    assert!(ran.output().contains("settled an item"), "{}", ran.output());
    assert!(!stolen.exists(), "the filter ran: {}", std::fs::read_to_string(&stolen).unwrap_or_default());
}

/// A worker configures a filter for its own worktree, and leaves a file to which git would apply it when the runner looks
/// for changes: outside of the worker's sandbox.
#[test]
fn a_worker_leaves_no_command_for_the_runner_in_its_worktree() {
    let script = "git config extensions.worktreeConfig true
        git config --worktree filter.own.clean \"touch $TASKTALLY_TEST_STOLEN; cat\"
        git config --worktree core.fsmonitor \"touch $TASKTALLY_TEST_STOLEN\"
        mkdir hooks; printf '#!/bin/sh\\ntouch %s\\n' \"$TASKTALLY_TEST_STOLEN\" > hooks/reference-transaction
        chmod +x hooks/*; git config --worktree core.hooksPath \"$PWD/hooks\"
        sleep 0.01; touch a.txt; rm -r hooks; echo '- left a filter'";
    let (store, _) = store_with_repository("exit 1");
    let stolen = store.folder().join("stolen");
    let script = script.replace("$TASKTALLY_TEST_STOLEN", stolen.to_str().unwrap());
    let text = std::fs::read_to_string(store.config()).unwrap().replace("\"exit 1\"", &format!("{script:?}"));
    std::fs::write(store.config(), text).unwrap();
    let ran = store.tasktally(["config", "check", "--run"]).success();
    assert!(ran.output().contains("settled an item"), "{}", ran.output());
    assert!(!stolen.exists(), "a command of the worker ran in the runner");
}

/// The programs of a repository get nothing of the runner's environment, because git itself gets nothing.
#[test]
fn git_gets_no_key_and_no_socket_of_the_operator() {
    let (store, _) = store_with_repository("cat a.txt");
    let programs = store.folder().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let seen = store.folder().join("seen");
    let script = format!("#!/bin/sh\nenv >> {}\nPATH=${{PATH#*:}} exec git \"$@\"\n", seen.display());
    std::fs::write(programs.join("git"), script).unwrap();
    std::fs::set_permissions(programs.join("git"), Permissions::from_mode(0o755)).unwrap();
    let mut command = store.command();
    command
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()))
        .env("ANTHROPIC_API_KEY", "secret")
        .env("SSH_AUTH_SOCK", "/run/agent")
        .env("GIT_CONFIG_COUNT", "0");
    let ran = Run::new(command, ["config", "check", "--run"]).success();
    assert!(ran.output().contains("settled an item"), "{}", ran.output());
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("GIT_CONFIG_GLOBAL=/dev/null"), "{seen}");
    for name in ["ANTHROPIC", "SSH_AUTH_SOCK", "GIT_CONFIG_COUNT", "TASKTALLY"] {
        assert!(!seen.contains(name), "git got {name}: {seen}");
    }
}

/// A worker leaves changes in its worktree, and a command in the configuration that git reads there. The operator then runs
/// what `doctor` proposes: with the operator's own git, outside of every sandbox.
#[test]
fn what_doctor_proposes_for_a_worktree_runs_nothing_that_a_worker_left() {
    let (store, _) = store_with_repository("exit 1");
    let stolen = store.folder().join("stolen");
    let script = format!(
        "git config core.fsmonitor 'touch {}'; echo more >> a.txt; echo '- left a command'",
        stolen.display()
    );
    let text = std::fs::read_to_string(store.config()).unwrap().replace("\"exit 1\"", &format!("{script:?}"));
    std::fs::write(store.config(), text).unwrap();
    let request = ["create-batch", "B", "--instructions", "x", "--items", r#"["a"]"#, "--worker", "w"];
    store.tasktally(request).success();
    eventually("the batch has ended", || {
        let batches = store.tasktally(["get-batch", "--all", "--json"]).success().json();
        (batches["batches"][0]["status"] == "done").then_some(())
    });
    // The runner is done with the worktree a moment later.
    let doctor = eventually("doctor names the worktree", || {
        let doctor = store.tasktally(["doctor"]).finish();
        doctor.output().contains("uncommitted").then_some(doctor)
    });
    let proposed: Vec<&str> = doctor.stdout.lines().filter_map(|line| line.strip_prefix("  $ ")).collect();
    assert!(doctor.output().contains("uncommitted") && !proposed.is_empty(), "{}", doctor.output());
    for command in proposed {
        Run::new(Command::new("sh"), ["-c", command]).finish();
        assert!(!stolen.exists(), "{command}: it ran the command of the worker");
    }
}
