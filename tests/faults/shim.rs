//! Libraries that replace functions of the C library in a real process, by `LD_PRELOAD`. Each is a C file in `shims/`,
//! compiled when a test first needs it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The compiled library of a name, for `LD_PRELOAD`.
pub(crate) fn shim(name: &'static str) -> PathBuf {
    static COMPILED: LazyLock<Mutex<HashMap<&'static str, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    compiled.entry(name).or_insert_with(|| compile(name)).clone()
}

fn compile(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/faults/shims/{name}.c"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (library, fresh) =
        (folder.join(format!("{name}.so")), folder.join(format!("{name}-{}.so", std::process::id())));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&fresh).arg(source).arg("-ldl");
    let status = cc.status().expect("the compiler that builds SQLite is there");
    assert!(status.success(), "{name}.c does not compile");
    std::fs::rename(fresh, &library).unwrap();
    library
}
