use std::process::Command;

use tempfile::TempDir;

use super::git::override_repository_commands;
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

#[test]
fn no_command_that_the_repository_configures_is_run() {
    let test = TestRepository::new();
    let ran = test.folder.path().join("filter-ran");
    let filter = format!("touch {}; cat", ran.display());
    std::fs::write(test.repository().join(".gitattributes"), "*.txt filter=own\n").unwrap();
    test.git(&["add", "."]);
    test.git(&["commit", "--quiet", "-m", "attributes"]);
    for what in ["smudge", "clean", "process"] {
        test.git(&["config", &format!("filter.own.{what}"), &filter]);
    }
    test.git(&["config", "filter.own.required", "true"]);
    let worktree = test.add().unwrap();
    assert_eq!(std::fs::read_to_string(worktree.join("a.txt")).unwrap(), "a\n");
    std::fs::write(worktree.join("a.txt"), "b\n").unwrap();
    assert!(matches!(test.remove().unwrap(), Removal::HasChanges { .. }));
    std::fs::write(worktree.join("a.txt"), "a\n").unwrap();
    assert_eq!(test.remove().unwrap(), Removal::Removed);
    assert!(!ran.exists(), "a filter of the repository ran");
    // A name that cannot be overridden is refused.
    test.git(&["config", "filter.a=b.smudge", &filter]);
    assert!(test.add().unwrap_err().to_string().contains("'filter.a=b'"));
}

#[test]
fn the_users_own_filters_stay() {
    let found = "global\0filter.lfs.smudge\nlfs smudge\0local\0filter.lfs.smudge\nevil\0local\0hook.x.command\nevil\0";
    let settings = override_repository_commands(found).unwrap();
    assert_eq!(
        settings,
        [
            "filter.lfs.clean=",
            "filter.lfs.smudge=lfs smudge",
            "filter.lfs.process=",
            "filter.lfs.required=false",
            "hook.x.enabled=false"
        ]
    );
    assert_eq!(override_repository_commands("").unwrap(), Vec::<String>::new());
}
