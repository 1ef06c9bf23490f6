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
    /// The user's number.
    id: u32,
}

impl UserStore {
    /// Gives a store to the unprivileged user. None, and the test is skipped, if root cannot become that user.
    #[track_caller]
    pub(crate) fn new(store: Store) -> Option<Self> {
        Self::with_id(store, NOBODY)
    }

    /// Gives a store to the user with this number. The processes of a user are counted over the whole machine, so a test of
    /// that limit needs a user of its own.
    #[track_caller]
    pub(crate) fn with_id(store: Store, id: u32) -> Option<Self> {
        // The build folder may lie in a folder that only root may enter.
        std::fs::copy(env!("CARGO_BIN_EXE_tasktally"), store.folder().join("tasktally"))
            .expect("the binary can be copied");
        if rustix::process::geteuid().is_root() {
            change_owner(store.folder(), id);
            if let Some(folder) = store.config().parent() {
                change_owner(folder, id);
            }
        }
        let user = UserStore { store, id };
        match user.try_run(&["true"]) {
            Ok(output) if output.status.success() => Some(user),
            failed => {
                skip(&format!("setpriv cannot run a program as user {id}: {failed:?}"));
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
            let id = self.id.to_string();
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
fn change_owner(path: &Path, id: u32) {
    chown(path, Some(id), Some(id)).expect("root may change an owner");
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder can be listed") {
            change_owner(&entry.expect("an entry").path(), id);
        }
    }
}
