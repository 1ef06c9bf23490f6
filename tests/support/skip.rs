//! A test that cannot run because the machine lacks something.
//!
//! What only Linux has is compiled only there (`#[cfg(target_os = "linux")]`) and never counts as skipped.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Prints the running test's name and what is missing; the test then returns. If `CI` is set it fails the
/// test instead, because `.ci/run` installs everything that the tests need.
#[track_caller]
pub(crate) fn skip(missing: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(std::env::var_os("CI").is_none(), "{test} cannot run in CI: {missing}");
    // Written to the handle because the test harness captures what `eprintln!` prints.
    let _ = writeln!(std::io::stderr(), "skipped {test}: {missing}");
}

/// Whether `program` is installed; if it is not, the test is skipped.
#[track_caller]
pub(crate) fn has_program(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$1\"", "sh", program])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}
