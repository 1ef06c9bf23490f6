use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A repository with one commit, a folder for worktrees beside it, and a hook that must not run.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Scene { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(scene.repository()).unwrap();
        scene.git(&["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(scene.repository().join("a.txt"), "a\n").unwrap();
        scene.git(&["add", "."]);
        scene.git(&["commit", "--quiet", "-m", "first"]);
        let hook = scene.repository().join(".git/hooks/post-checkout");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", scene.hooked().display())).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        scene
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn hooked(&self) -> PathBuf {
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

    fn remove(&self) -> Result<Left> {
        remove(&self.repository(), &self.worktree(), "b1.02")
    }
}

#[test]
fn a_chunk_gets_a_worktree_on_a_branch_of_its_own_and_no_hook_runs() {
    let scene = Scene::new();
    let folder = scene.add().unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("a.txt")).unwrap(), "a\n");
    assert_eq!(scene.git_in(&folder, &["branch", "--show-current"]), "tasktally/b1.02\n");
    assert!(!scene.hooked().exists());
    let mode = std::fs::metadata(scene.worktree().parent().unwrap()).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);
}

#[test]
fn a_clean_worktree_is_removed_with_its_unused_branch() {
    let scene = Scene::new();
    scene.add().unwrap();
    assert_eq!(scene.remove().unwrap(), Left::Removed);
    assert!(!scene.worktree().exists());
    assert_eq!(scene.git(&["branch", "--list", "tasktally/*"]), "");
}

#[test]
fn commits_stay_on_the_branch_when_the_worktree_goes_and_are_found_again() {
    let scene = Scene::new();
    let folder = scene.add().unwrap();
    std::fs::write(folder.join("b.txt"), "b\n").unwrap();
    scene.git_in(&folder, &["add", "."]);
    scene.git_in(&folder, &["commit", "--quiet", "-m", "second"]);
    assert_eq!(scene.remove().unwrap(), Left::Removed);
    assert_eq!(scene.git(&["log", "-1", "--format=%s", "tasktally/b1.02"]), "second\n");
    let again = scene.add().unwrap();
    assert!(again.join("b.txt").exists());
}

#[test]
fn a_worktree_with_changes_is_left_and_names_them() {
    let scene = Scene::new();
    let folder = scene.add().unwrap();
    std::fs::write(folder.join("a.txt"), "changed\n").unwrap();
    std::fs::write(folder.join("new.txt"), "new\n").unwrap();
    let Left::Changed { files, .. } = scene.remove().unwrap() else { panic!("it was removed") };
    assert_eq!(files, ["a.txt", "new.txt"]);
    assert_eq!(std::fs::read_to_string(folder.join("a.txt")).unwrap(), "changed\n");
    // The next attempt at the chunk goes on where the first one stopped.
    assert_eq!(scene.add().unwrap(), folder);
    assert!(folder.join("new.txt").exists());
}

#[test]
fn a_worktree_that_was_deleted_by_hand_is_made_again() {
    let scene = Scene::new();
    let folder = scene.add().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(scene.add().unwrap().join("a.txt").exists());
}

#[test]
fn what_is_no_repository_or_somebody_elses_folder_is_refused() {
    let scene = Scene::new();
    let elsewhere = scene.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let refusal = add(&elsewhere, &scene.worktree(), "b1.02").unwrap_err().to_string();
    assert!(refusal.contains("no git repository with a commit"), "{refusal}");

    std::fs::create_dir_all(scene.worktree()).unwrap();
    std::fs::write(scene.worktree().join("mine"), "").unwrap();
    assert!(scene.add().is_err());
    assert!(scene.worktree().join("mine").exists());
}

#[test]
fn nothing_that_the_repository_itself_names_is_run() {
    let scene = Scene::new();
    let ran = scene.folder.path().join("filter-ran");
    let filter = format!("touch {}; cat", ran.display());
    std::fs::write(scene.repository().join(".gitattributes"), "*.txt filter=own\n").unwrap();
    scene.git(&["add", "."]);
    scene.git(&["commit", "--quiet", "-m", "attributes"]);
    for what in ["smudge", "clean", "process"] {
        scene.git(&["config", &format!("filter.own.{what}"), &filter]);
    }
    scene.git(&["config", "filter.own.required", "true"]);
    let worktree = scene.add().unwrap();
    assert_eq!(std::fs::read_to_string(worktree.join("a.txt")).unwrap(), "a\n");
    std::fs::write(worktree.join("a.txt"), "b\n").unwrap();
    assert!(matches!(scene.remove().unwrap(), Left::Changed { .. }));
    std::fs::write(worktree.join("a.txt"), "a\n").unwrap();
    assert_eq!(scene.remove().unwrap(), Left::Removed);
    assert!(!ran.exists(), "a filter of the repository's ran");
    // A name that cannot be left out is refused, not run.
    scene.git(&["config", "filter.a=b.smudge", &filter]);
    assert!(scene.add().unwrap_err().to_string().contains("'filter.a=b'"));
}

#[test]
fn what_the_user_says_of_filters_stays() {
    let found = "global\0filter.lfs.smudge\nlfs smudge\0local\0filter.lfs.smudge\nevil\0local\0hook.x.command\nevil\0";
    let settings = without_own_commands(found).unwrap();
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
    assert_eq!(without_own_commands("").unwrap(), Vec::<String>::new());
}
