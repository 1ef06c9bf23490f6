//! `tasktally --version`, and the build script that finds the commit.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;

use support::skip::has_program;
use support::store::Store;

#[test]
fn the_version_names_the_commit_if_the_build_knew_it_and_sqlite() {
    let store = Store::new();
    let (version, sqlite) = (env!("CARGO_PKG_VERSION"), rusqlite::version());
    let expected = match option_env!("TASKTALLY_BUILD_COMMIT") {
        Some(commit) => format!("tasktally {version} (commit {commit}, SQLite {sqlite})\n"),
        None => format!("tasktally {version} (SQLite {sqlite})\n"),
    };
    for option in ["--version", "-V"] {
        assert_eq!(store.tasktally([option]).success().stdout, expected);
    }
}

/// The build script as a program.
struct BuildScript(Store);

impl BuildScript {
    fn compile() -> Self {
        let store = Store::new();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compiled = Command::new(rustc)
            .args(["--edition=2024", "--allow=unknown_lints", "-o"])
            .arg(store.folder().join("build-script"))
            .arg("build.rs")
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{compiled:?}");
        BuildScript(store)
    }

    fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// What the script tells cargo for a package in this folder.
    fn run(&self, folder: &Path, profile: &str, variables: &[(&str, &str)]) -> String {
        let mut command = Command::new(self.folder().join("build-script"));
        command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder).env("PROFILE", profile);
        command.env_remove("TASKTALLY_COMMIT").env_remove("GIT_DIR").envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn git(&self, folder: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(folder).env("HOME", self.0.home()).env_remove("GIT_DIR");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

const COMMIT: &str = "cargo::rustc-env=TASKTALLY_BUILD_COMMIT=";

#[test]
fn the_commit_comes_from_the_clone_or_from_packaging_and_is_absent_elsewhere() {
    if !has_program("git") {
        return;
    }
    let script = BuildScript::compile();
    let clone = script.folder().join("clone");
    std::fs::create_dir(&clone).unwrap();
    script.git(&clone, &["init", "--quiet"]);
    // A clone without a commit.
    assert!(!script.run(&clone, "release", &[]).contains(COMMIT));
    script.git(&clone, &["commit", "--quiet", "--allow-empty", "-m", "one"]);
    let id = script.git(&clone, &["rev-parse", "HEAD"]);
    let output = script.run(&clone, "release", &[]);
    assert!(output.contains(&format!("{COMMIT}{}\n", &id[..12])), "{output}");
    // The build is repeated when the commit changes, and only then: every file that is named exists.
    let watched: Vec<&str> =
        output.lines().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed=")).collect();
    let [own, log] = watched[..] else { panic!("{output}") };
    assert_eq!(own, "build.rs");
    let before = std::fs::read_to_string(clone.join(log)).unwrap();
    script.git(&clone, &["commit", "--quiet", "--allow-empty", "-m", "two"]);
    assert_ne!(before, std::fs::read_to_string(clone.join(log)).unwrap());
    // A worktree has a file in place of the folder .git.
    let worktree = script.folder().join("worktree");
    script.git(&clone, &["worktree", "add", "--quiet", worktree.to_str().unwrap(), &id]);
    assert!(script.run(&worktree, "release", &[]).contains(&format!("{COMMIT}{}\n", &id[..12])));
    // A debug build does not depend on the commit.
    let debug = script.run(&clone, "debug", &[]);
    assert!(!debug.contains(COMMIT) && !debug.contains("logs/HEAD"), "{debug}");
    // A package inside another repository, such as that of a home folder, and a machine without git.
    let package = clone.join("package");
    std::fs::create_dir(&package).unwrap();
    assert!(!script.run(&package, "release", &[]).contains(COMMIT));
    assert!(!script.run(&clone, "release", &[("PATH", "/nonexistent")]).contains(COMMIT));
    // Packaging knows the commit.
    let given = script.run(&package, "debug", &[("TASKTALLY_COMMIT", "0123456789abcdef0123")]);
    assert!(given.contains(&format!("{COMMIT}0123456789ab\n")), "{given}");
    assert!(
        !script
            .run(&package, "release", &[("TASKTALLY_COMMIT", "main\ncargo::warning=x")])
            .contains("warning")
    );
}
