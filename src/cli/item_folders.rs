//! The folders that item files are read from: for an agent never more than it needs, and never Tasktally's own files.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::caller::Caller;
use crate::items::SourceRoots;
use crate::work::{AgentFolders, DATA_SUBFOLDERS};

/// Where a caller may read item files, and the folders that agents may write to. `data` is the folder for this machine's files
/// of the store.
pub(super) fn item_roots(caller: &Caller, store: &Path, data: &Path) -> (SourceRoots, AgentFolders) {
    // A current folder that was deleted contains no item files. Absolute paths work without it.
    let here = std::env::current_dir().ok();
    let (roots, agent_folders) = match caller {
        // Relative paths are resolved against the first root.
        Caller::Person => (
            SourceRoots::new(here.into_iter().chain([PathBuf::from("/")])).with_streams(),
            AgentFolders::default(),
        ),
        Caller::Agent { item_folders } => {
            let folders = if item_folders.is_empty() {
                here.into_iter().filter(|here| !is_too_wide(here)).collect()
            } else {
                item_folders.clone()
            };
            let roots = SourceRoots::new(folders.clone()).without_folders(own_folders(data, &folders));
            (roots, AgentFolders { items: folders, temporary: temporary_folders() })
        }
    };
    (roots.without_store(store), agent_folders)
}

/// Folders for temporary files. Every program of the user writes there, agents among them.
fn temporary_folders() -> Vec<PathBuf> {
    ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from).into_iter().chain([std::env::temp_dir()]).collect()
}

/// Whether a folder is `/` or the home folder, which hold more than the items of one project.
fn is_too_wide(folder: &Path) -> bool {
    let is_home = || {
        let home = std::env::home_dir().and_then(|home| home.canonicalize().ok());
        home.is_some_and(|home| folder.canonicalize().is_ok_and(|folder| folder == home))
    };
    folder.parent().is_none() || is_home()
}

/// The folders with Tasktally's own files: the user's configuration, data and state, and the data folder. If items are
/// read from the data folder itself, only the subfolders that Tasktally makes in it.
fn own_folders(data: &Path, item_folders: &[PathBuf]) -> Vec<PathBuf> {
    let real_data = data.canonicalize();
    let is_inside_data = |folder: &PathBuf| {
        real_data
            .as_ref()
            .is_ok_and(|data| folder.canonicalize().is_ok_and(|folder| folder.starts_with(data)))
    };
    let mut folders = if item_folders.iter().any(is_inside_data) {
        DATA_SUBFOLDERS.iter().map(|name| data.join(name)).collect()
    } else {
        vec![data.to_owned()]
    };
    if let Ok(user) = etcetera::choose_base_strategy() {
        let of_user = [Some(user.config_dir()), Some(user.data_dir()), user.state_dir()];
        folders.extend(of_user.into_iter().flatten().map(|folder| folder.join("tasktally")));
    }
    folders
}
