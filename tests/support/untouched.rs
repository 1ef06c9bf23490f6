//! A store that is refused is left byte for byte as it was.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::store::Store;

/// Every file beside the store, byte for byte; without what a reader of a log-keeping file has to make.
pub(crate) fn bytes(store: &Store) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = store.file().parent().unwrap();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let contents =
        entries.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(path).unwrap()));
    contents.filter(|(path, bytes)| !(path.ends_with("tasktally.db-shm") || bytes.is_empty())).collect()
}

/// Holds reading, writing and serving to exit code 2, a reason, and files that stay as they are.
#[track_caller]
pub(crate) fn assert_refused_untouched(store: &Store, reason: &str) {
    let before = bytes(store);
    for args in
        [&["list-tasks"][..], &["create-task", "--task-title", "New"], &["list-tasks", "--json"], &["serve"]]
    {
        let ran = store.tasktally(args).code(2);
        let said = ran.said();
        assert!(said.to_lowercase().contains(reason), "{args:?}: no {reason:?} in {said}");
        assert!(said.contains(store.file().to_str().unwrap()), "{args:?}: which file? {said}");
        assert_eq!(bytes(store), before, "{args:?} touched the files");
    }
}
