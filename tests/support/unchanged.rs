//! A store that is refused must stay byte for byte as it was.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::store::Store;

/// The contents of every file in the store's folder. Left out are the shared memory file and empty files, which
/// SQLite creates even for a reader.
pub(crate) fn file_contents(store: &Store) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = store.file().parent().unwrap();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let contents =
        entries.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(path).unwrap()));
    contents.filter(|(path, bytes)| !(path.ends_with("tasktally.db-shm") || bytes.is_empty())).collect()
}

/// Asserts that reading, writing and serving end with exit code 2 and a reason, and leave all files unchanged.
#[track_caller]
pub(crate) fn assert_refused_unchanged(store: &Store, reason: &str) {
    let before = file_contents(store);
    for args in
        [&["list-tasks"][..], &["create-task", "--task-title", "New"], &["list-tasks", "--json"], &["serve"]]
    {
        let ran = store.tasktally(args).code(2);
        let output = ran.output();
        assert!(output.to_lowercase().contains(reason), "{args:?}: no {reason:?} in {output}");
        assert!(output.contains(store.file().to_str().unwrap()), "{args:?}: no file name in {output}");
        assert_eq!(file_contents(store), before, "{args:?} changed the files");
    }
}
