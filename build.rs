//! Gives the program the commit that it was built from, for `tasktally --version`.
//!
//! The commit comes from `TASKTALLY_COMMIT`, which packaging can set, or from git if this folder is a clone. A debug build
//! does not ask git: each commit would cause a build of everything.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TASKTALLY_COMMIT");
    let given = std::env::var("TASKTALLY_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(commit_of_clone).filter(|commit| is_hexadecimal(commit));
    if let Some(commit) = commit {
        println!("cargo::rustc-env=TASKTALLY_BUILD_COMMIT={}", commit.get(..12).unwrap_or(&commit));
    }
}

/// The commit that is checked out here, in a build with optimisations.
fn commit_of_clone() -> Option<String> {
    let is_optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let folder = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    // Without this check git would find the repository of a folder above, for example of the home folder.
    if !is_optimised || !Path::new(&folder).join(".git").exists() {
        return None;
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(&folder).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    // git appends to this log when another commit is checked out or made. A missing file would cause a build each time.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&folder).join(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    Some(commit)
}

fn is_hexadecimal(text: &str) -> bool {
    text.len() >= 7 && text.chars().all(|c| c.is_ascii_hexdigit())
}
