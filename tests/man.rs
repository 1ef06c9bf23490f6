//! `tasktally man`: the manual pages.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::skip::has_program;
use support::store::Store;

#[test]
fn every_command_has_a_page_that_groff_reads_without_a_warning() {
    let store = Store::new_sqlite();
    let ran = store.tasktally(["man", "pages/man1"]).success();
    let folder = store.folder().join("pages/man1");
    let pages: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(ran.stdout, format!("{} manual pages are in pages/man1\n", pages.len()));
    for entry in tasktally::ops::ALL {
        let page = format!("tasktally-{}.1", entry.name.replace('_', "-"));
        assert!(pages.contains(&page), "{page}");
    }
    for page in ["tasktally.1", "tasktally-run.1", "tasktally-demo.1", "tasktally-config-check.1"] {
        assert!(pages.contains(page), "{page}");
    }
    let hidden =
        |page: &&String| page.contains("help") || page.contains("process") || page.contains("worker");
    assert_eq!(pages.iter().find(hidden), None);
    let text = |page: &str| std::fs::read_to_string(folder.join(page)).unwrap();
    // The page of the program leads to all others; the pages have what the help has.
    let program = text("tasktally.1");
    assert!(program.contains(r"tasktally\-get\-batch(1)") && program.contains(env!("CARGO_PKG_VERSION")));
    assert!(text("tasktally-run.1").contains("TASKTALLY_ITEM"), "the part of the help after the options");
    assert!(!store.file().exists(), "a store was created");
    if !has_program("groff") {
        return;
    }
    for page in &pages {
        let read =
            Command::new("groff").args(["-man", "-ww", "-Tutf8"]).arg(folder.join(page)).output().unwrap();
        let warnings = String::from_utf8_lossy(&read.stderr);
        assert!(read.status.success() && warnings.is_empty(), "{page}: {warnings}");
    }
}

#[test]
fn the_page_of_the_program_is_printed_without_a_folder() {
    let store = Store::new_sqlite();
    let printed = store.tasktally(["man"]).success().stdout;
    assert!(printed.contains(".TH tasktally 1") && printed.contains(".SH SUBCOMMANDS"), "{printed}");
    store.write("file", "");
    let refused = store.tasktally(["man", "file/man1"]).code(2).stderr;
    assert!(refused.contains("file/man1: the manual pages cannot be written there"), "{refused}");
}
