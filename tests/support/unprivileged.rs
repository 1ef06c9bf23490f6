//! `tasktally` as run by a user who is not root. Root may read and write every file, so tests of missing
//! permissions need another user.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Output};

use super::skip::skip;
use super::store::Store;

/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// A store that an unprivileged user owns, with its configuration.
pub(crate) struct UserStore {
    /// The store.
    pub(crate) store: Store,
}

impl UserStore {
    /// Gives a store to the unprivileged user. None, and the test is skipped, if root cannot become that user.
    #[track_caller]
    pub(crate) fn new(store: Store) -> Option<Self> {
        // The build folder may lie in a folder that only root may enter.
        std::fs::copy(env!("CARGO_BIN_EXE_tasktally"), store.folder().join("tasktally"))
            .expect("the binary can be copied");
        if rustix::process::geteuid().is_root() {
            change_owner(store.folder());
            if let Some(folder) = store.config().parent() {
                change_owner(folder);
            }
        }
        let user = UserStore { store };
        match user.try_run(&["true"]) {
            Ok(output) if output.status.success() => Some(user),
            failed => {
                skip(&format!("setpriv cannot run a program as user {NOBODY}: {failed:?}"));
                None
            }
        }
    }

    /// Runs `tasktally` as the user.
    pub(crate) fn tasktally(&self, args: &[&str]) -> Output {
        let program = self.store.folder().join("tasktally");
        self.run(&[&[program.to_str().expect("a path of UTF-8")], args].concat())
    }

    /// Runs a program as the user.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.try_run(words).expect("a program runs as the user")
    }

    fn try_run(&self, words: &[&str]) -> std::io::Result<Output> {
        let tasktally = self.store.command();
        let mut command = if rustix::process::geteuid().is_root() {
            let id = NOBODY.to_string();
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
            command
        } else {
            Command::new("env")
        };
        command.args(words).current_dir("/");
        command.envs(tasktally.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output()
    }
}

/// Gives a file, or a folder with everything in it, to the user.
fn change_owner(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("root may change an owner");
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder can be listed") {
            change_owner(&entry.expect("an entry").path());
        }
    }
}
