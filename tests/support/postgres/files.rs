//! The files of a cluster, and what runs as their owner.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Cluster;

impl Cluster {
    /// Writes a file into the data folder, as its owner.
    pub(crate) fn write_data(&self, name: &str, content: &str) -> PathBuf {
        let file = self.data().join(name);
        std::fs::write(&file, content).expect("a file of the cluster can be written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode can be set");
        self.give_to_owner(&file);
        file
    }

    /// Gives a file or folder to the owner of the cluster.
    pub(crate) fn give_to_owner(&self, path: &Path) {
        let owner = std::fs::metadata(self.data()).expect("a data folder");
        chown(path, Some(owner.uid()), Some(owner.gid())).expect("root may change an owner");
    }

    /// Moves the WAL of a killed cluster into another folder, for example on another disk.
    pub(crate) fn move_wal(&self, folder: &Path) {
        let wal = self.data().join("pg_wal");
        let copied = Command::new("cp").arg("-a").arg(&wal).arg(folder).status().expect("`cp` runs");
        assert!(copied.success());
        std::fs::remove_dir_all(&wal).expect("the WAL can be deleted");
        symlink(folder.join("pg_wal"), &wal).expect("a link can be made");
    }

    /// Starts the cluster if its postmaster has ended by itself, and waits until it accepts connections.
    pub(crate) fn start_if_ended(&self) {
        // A postmaster that cannot go on ends within a moment.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let mut running = self.running();
        let has_ended = running
            .as_mut()
            .is_none_or(|postmaster| postmaster.try_wait().expect("a child can be waited for").is_some());
        if has_ended {
            *running = None;
        }
        drop(running);
        if has_ended { self.start() } else { self.wait_until_ready() }
    }

    /// Lets the owner of the cluster create files in a folder.
    pub(crate) fn share_folder(&self, folder: &Path) {
        self.installation.share_folder(folder);
    }

    /// A program with its arguments, run by the owner of the cluster, in a folder that this user can enter.
    pub(crate) fn as_owner(&self, program: &Path, arguments: &[&OsStr]) -> Command {
        let mut words = self.installation.as_owner().into_iter();
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).current_dir("/");
        command
    }
}
