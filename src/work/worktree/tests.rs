use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A repository with one commit, a folder for its worktrees, and a hook that must not run.
struct TestRepository {
    folder: TempDir,
}

impl TestRepository {
    fn new() -> Self {
        let test = TestRepository { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(test.repository()).unwrap();
        test.git(&["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(test.repository().join("a.txt"), "a\n").unwrap();
        test.git(&["add", "."]);
        test.git(&["commit", "--quiet", "-m", "first"]);
        let hook = test.repository().join(".git/hooks/post-checkout");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", test.hook_result().display())).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        test
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn hook_result(&self) -> PathBuf {
        self.folder.path().join("hook-ran")
    }

    fn worktree(&self) -> PathBuf {
        self.folder.path().join("data/worktrees/b1.02")
    }

    #[track_caller]
    fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.repository(), arguments)
    }

    #[track_caller]
    fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"])
            .arg(folder)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn add(&self) -> Result<PathBuf> {
        add(&self.repository(), &self.worktree(), "b1.02")
    }

    fn remove(&self) -> Result<Removal> {
        remove(&self.repository(), &self.worktree(), "b1.02")
    }
}

#[test]
fn a_chunk_gets_a_worktree_on_a_branch_of_its_own_and_no_hook_runs() {
    let test = TestRepository::new();
    let folder = test.add().unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("a.txt")).unwrap(), "a\n");
    assert_eq!(test.git_in(&folder, &["branch", "--show-current"]), "tasktally/b1.02\n");
    assert!(!test.hook_result().exists());
    let mode = std::fs::metadata(test.worktree().parent().unwrap()).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);
}

#[test]
fn a_clean_worktree_is_removed_with_its_unused_branch() {
    let test = TestRepository::new();
    test.add().unwrap();
    assert_eq!(test.remove().unwrap(), Removal::Removed);
    assert!(!test.worktree().exists());
    assert_eq!(test.git(&["branch", "--list", "tasktally/*"]), "");
}

#[test]
fn commits_stay_on_the_branch_of_a_removed_worktree_and_are_found_again() {
    let test = TestRepository::new();
    let folder = test.add().unwrap();
    std::fs::write(folder.join("b.txt"), "b\n").unwrap();
    test.git_in(&folder, &["add", "."]);
    test.git_in(&folder, &["commit", "--quiet", "-m", "second"]);
    assert_eq!(test.remove().unwrap(), Removal::Removed);
    assert_eq!(test.git(&["log", "-1", "--format=%s", "tasktally/b1.02"]), "second\n");
    let again = test.add().unwrap();
    assert!(again.join("b.txt").exists());
}

#[test]
fn a_worktree_with_uncommitted_changes_stays_and_its_files_are_named() {
    let test = TestRepository::new();
    let folder = test.add().unwrap();
    std::fs::write(folder.join("a.txt"), "changed\n").unwrap();
    std::fs::write(folder.join("new.txt"), "new\n").unwrap();
    let Removal::HasChanges { files, .. } = test.remove().unwrap() else { panic!("it was removed") };
    assert_eq!(files, ["a.txt", "new.txt"]);
    assert_eq!(std::fs::read_to_string(folder.join("a.txt")).unwrap(), "changed\n");
    // The next attempt at the chunk continues in the same worktree.
    assert_eq!(test.add().unwrap(), folder);
    assert!(folder.join("new.txt").exists());
}

#[test]
fn a_worktree_that_was_deleted_by_hand_is_created_again() {
    let test = TestRepository::new();
    let folder = test.add().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(test.add().unwrap().join("a.txt").exists());
}

#[test]
fn a_folder_without_a_repository_and_an_existing_folder_are_refused() {
    let test = TestRepository::new();
    let elsewhere = test.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let refusal = add(&elsewhere, &test.worktree(), "b1.02").unwrap_err().to_string();
    assert!(refusal.contains("not a git repository with a commit"), "{refusal}");

    std::fs::create_dir_all(test.worktree()).unwrap();
    std::fs::write(test.worktree().join("mine"), "").unwrap();
    assert!(test.add().is_err());
    assert!(test.worktree().join("mine").exists());
}

/// Runs the whole life of a worktree in a repository that `prepare` made hostile: every command that it names would create
/// the file that `prepare` gets. Checks that the content is right and that no command ran.
fn check_nothing_runs(prepare: impl Fn(&TestRepository, &str), in_worktree: impl Fn(&TestRepository, &str)) {
    let test = TestRepository::new();
    let ran = test.folder.path().join("command-ran");
    let command = format!("touch {}; cat", ran.display());
    std::fs::write(test.repository().join(".gitattributes"), "*.txt filter=own\n").unwrap();
    test.git(&["add", "."]);
    test.git(&["commit", "--quiet", "-m", "attributes"]);
    prepare(&test, &command);
    let _ = std::fs::remove_file(&ran);
    check_repository(&test.repository()).unwrap();
    let worktree = test.add().unwrap();
    assert_eq!(std::fs::read_to_string(worktree.join("a.txt")).unwrap(), "a\n");
    in_worktree(&test, &command);
    let _ = std::fs::remove_file(&ran);
    // A different size, and then the same content with a new time, so that git has to read the file.
    std::fs::write(worktree.join("a.txt"), "changed\n").unwrap();
    assert!(matches!(test.remove().unwrap(), Removal::HasChanges { .. }));
    std::fs::write(worktree.join("a.txt"), "a\n").unwrap();
    assert_eq!(test.add().unwrap(), worktree, "the same worktree is used again");
    assert_eq!(test.remove().unwrap(), Removal::Removed);
    assert!(!worktree.exists());
    assert!(!ran.exists(), "a command of the repository ran");
    assert!(!test.hook_result().exists(), "a hook of the repository ran");
}

fn filter_section(command: &str) -> String {
    let setting = |what: &str| format!("\t{what} = \"{command}\"\n");
    format!("[filter \"own\"]\n{}{}\trequired = true\n", setting("smudge"), setting("clean"))
}

#[test]
fn no_filter_of_the_repository_runs() {
    check_nothing_runs(
        |test, command| {
            for what in ["smudge", "clean"] {
                test.git(&["config", &format!("filter.own.{what}"), command]);
            }
            // A name that no setting on the command line could replace.
            test.git(&["config", "filter.a=b.smudge", command]);
        },
        |_, _| {},
    );
    check_nothing_runs(
        |test, command| {
            test.git(&["config", "filter.own.process", command]);
        },
        |_, _| {},
    );
}

#[test]
fn no_filter_runs_that_is_included_for_the_branch_or_the_folder_of_the_worktree_only() {
    for condition in ["onbranch:tasktally/**", "gitdir:**/worktrees/**", "gitdir/i:**/B1.02"] {
        check_nothing_runs(
            |test, command| {
                let included = test.folder.path().join("included");
                std::fs::write(&included, filter_section(command)).unwrap();
                test.git(&["config", &format!("includeIf.{condition}.path"), included.to_str().unwrap()]);
            },
            |_, _| {},
        );
    }
}

#[test]
fn no_filter_hook_or_monitor_runs_that_a_worker_configured_in_its_worktree() {
    check_nothing_runs(
        |test, _| {
            test.git(&["config", "extensions.worktreeConfig", "true"]);
        },
        |test, command| {
            let set = |name: &str, value: &str| {
                test.git_in(&test.worktree(), &["config", "--worktree", name, value])
            };
            let hooks = test.folder.path().join("hooks");
            std::fs::create_dir_all(&hooks).unwrap();
            for hook in ["reference-transaction", "post-index-change", "post-checkout"] {
                let file = hooks.join(hook);
                std::fs::write(&file, format!("#!/bin/sh\n{command}\n")).unwrap();
                std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            }
            set("core.hooksPath", hooks.to_str().unwrap());
            set("filter.own.clean", command);
            set("core.fsmonitor", command);
        },
    );
}

#[test]
fn a_git_file_that_a_worker_replaced_is_not_followed() {
    let test = TestRepository::new();
    let worktree = test.add().unwrap();
    let other = tempfile::tempdir().unwrap();
    test.git_in(other.path(), &["init", "--quiet"]);
    let ran = other.path().join("ran");
    test.git_in(other.path(), &["config", "core.fsmonitor", &format!("touch {}", ran.display())]);
    let link = worktree.join(".git");
    let original = std::fs::read(&link).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(other.path().join(".git"), &link).unwrap();
    assert!(test.add().is_err());
    assert!(test.remove().is_err());
    assert!(changes(&worktree).is_err());
    std::fs::remove_file(&link).unwrap();
    std::fs::write(&link, format!("gitdir: {}\n", other.path().join(".git").display())).unwrap();
    assert!(test.remove().unwrap_err().to_string().contains("is not a worktree"));
    assert!(worktree.join("a.txt").exists() && other.path().exists() && !ran.exists());
    std::fs::write(&link, original).unwrap();
    assert_eq!(test.remove().unwrap(), Removal::Removed);
}

#[test]
fn git_gets_no_variable_of_the_runner_besides_path_and_language() {
    let test = TestRepository::new();
    let programs = tempfile::tempdir().unwrap();
    let found = programs.path().join("found");
    // Stands in for git, and writes down its environment.
    let script = format!("#!/bin/sh\nenv >> {}\nexec /usr/bin/env git \"$@\"\n", found.display());
    let stand_in = programs.path().join("git");
    std::fs::write(&stand_in, script.replace("/usr/bin/env git", which_git().to_str().unwrap())).unwrap();
    std::fs::set_permissions(&stand_in, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "work::worktree::tests::adds_and_removes_the_worktree_of_the_variable",
            "--ignored",
        ])
        .env("PATH", format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap()))
        .env("TASKTALLY_TEST_REPOSITORY", test.repository())
        .env("ANTHROPIC_API_KEY", "secret")
        .env("SSH_AUTH_SOCK", "/run/agent")
        .env("GIT_DIR", "/nowhere")
        .env("GIT_CONFIG_COUNT", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let found = std::fs::read_to_string(found).unwrap();
    assert!(found.contains("GIT_CONFIG_GLOBAL=/dev/null"), "{found}");
    for secret in ["ANTHROPIC", "SSH_AUTH", "/nowhere", "GIT_CONFIG_COUNT"] {
        assert!(!found.contains(secret), "{secret} in {found}");
    }
}

fn which_git() -> PathBuf {
    crate::config::find_program("git".as_ref(), std::env::var_os("PATH").as_deref(), None).unwrap()
}

/// Not a test of its own: the body of the test above, in a process with another environment.
#[test]
#[ignore = "started by git_gets_no_variable_of_the_runner_besides_path_and_language"]
fn adds_and_removes_the_worktree_of_the_variable() {
    let repository = PathBuf::from(std::env::var_os("TASKTALLY_TEST_REPOSITORY").unwrap());
    let folder = repository.with_file_name("data").join("worktrees/b1.02");
    add(&repository, &folder, "b1.02").unwrap();
    assert_eq!(remove(&repository, &folder, "b1.02").unwrap(), Removal::Removed);
}

#[test]
fn repositories_of_every_format_and_place_get_worktrees() {
    for options in [&["--object-format=sha256"][..], &["--ref-format=reftable"], &[]] {
        let test = TestRepository::new();
        let repository = test.folder.path().join("other");
        let named = repository.to_str().unwrap();
        test.git(&[&["init", "--quiet"], options, &[named]].concat());
        std::fs::create_dir(repository.join("below")).unwrap();
        std::fs::write(repository.join("below/b.txt"), "b\n").unwrap();
        test.git_in(&repository, &["add", "."]);
        test.git_in(&repository, &["commit", "--quiet", "-m", "first"]);
        test.git_in(&repository, &["pack-refs", "--all"]);
        let linked = test.folder.path().join("linked");
        test.git_in(&repository, &["worktree", "add", "--quiet", linked.to_str().unwrap()]);
        for place in [repository.clone(), repository.join("below"), linked] {
            let folder = add(&place, &test.worktree(), "b1.02").unwrap();
            assert_eq!(std::fs::read_to_string(folder.join("below/b.txt")).unwrap(), "b\n", "{options:?}");
            assert_eq!(test.git_in(&folder, &["status", "--porcelain"]), "", "{options:?}");
            std::fs::write(folder.join("new.txt"), "new\n").unwrap();
            test.git_in(&folder, &["add", "new.txt"]);
            assert_eq!(changes(&folder).unwrap(), ["new.txt"]);
            test.git_in(&folder, &["rm", "--quiet", "-f", "new.txt"]);
            assert_eq!(remove(&place, &folder, "b1.02").unwrap(), Removal::Removed);
            assert_eq!(test.git_in(&repository, &["branch", "--list", "tasktally/*"]), "");
            assert_eq!(test.git_in(&repository, &["fsck", "--no-dangling"]), "");
        }
    }
}
