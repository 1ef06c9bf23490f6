//! The possible content of a disk after a power cut, rebuilt from recorded calls.
//!
//! Data that was synced before the cut is kept. Each later write is kept, dropped or torn between sectors, in any
//! combination. A new name of a file is kept or dropped until its folder is synced.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::calls::{Call, End};
use crate::support::rng::Rng;

const SECTOR: usize = 512;

/// When a new name is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// With the next sync of its folder, which is all that POSIX promises.
    WithTheFolder,
    /// With the next sync of any file, in order, as on a file system with a journal.
    WithAnySync,
}

enum Change<'a> {
    Write(u64, &'a [u8]),
    Cut(u64),
}

#[derive(Default)]
struct Content<'a> {
    on_disk: Vec<u8>,
    /// The writes since the last sync, in order.
    pending: Vec<Change<'a>>,
    /// For each running sync: how many of these writes it covers, and the latest name.
    syncing: HashMap<u32, (usize, u64)>,
}

#[derive(Clone)]
enum Name {
    Made(PathBuf, u64),
    Unlinked(PathBuf),
}

impl Name {
    fn path(&self) -> &Path {
        match self {
            Name::Made(path, _) | Name::Unlinked(path) => path,
        }
    }
}

type Tree = BTreeMap<PathBuf, u64>;

/// The files of a folder after the calls so far.
pub(crate) struct Disk<'a> {
    root: PathBuf,
    names: Names,
    contents: HashMap<u64, Content<'a>>,
    folders: HashMap<u64, PathBuf>,
    tree: Tree,
    /// Names that were added or removed since the last sync, numbered.
    pending: Vec<(u64, Name)>,
    named: u64,
}

impl<'a> Disk<'a> {
    /// The present content of a folder, all of it on disk.
    pub(crate) fn of(root: &Path, names: Names) -> Self {
        let mut disk = Disk {
            root: root.to_owned(),
            names,
            contents: HashMap::new(),
            folders: HashMap::new(),
            tree: Tree::new(),
            pending: Vec::new(),
            named: 0,
        };
        disk.take_in(root);
        disk
    }

    /// When a new name is on this disk.
    pub(crate) fn names(&self) -> Names {
        self.names
    }

    fn take_in(&mut self, path: &Path) {
        let inode = std::fs::metadata(path).unwrap().ino();
        self.tree.insert(path.to_owned(), inode);
        if path.is_dir() {
            self.folders.insert(inode, path.to_owned());
            for entry in std::fs::read_dir(path).unwrap() {
                self.take_in(&entry.unwrap().path());
            }
        } else {
            self.content(inode).on_disk = std::fs::read(path).unwrap();
        }
    }

    fn content(&mut self, inode: u64) -> &mut Content<'a> {
        self.contents.entry(inode).or_default()
    }

    /// Applies the next call.
    pub(crate) fn apply(&mut self, call: &'a Call, rng: &mut Rng) {
        match call {
            Call::Wrote { inode, offset, data } => {
                self.content(*inode).pending.push(Change::Write(*offset, data));
            }
            Call::Cut { inode, length } => self.content(*inode).pending.push(Change::Cut(*length)),
            Call::Syncing { inode, by } => {
                let named = self.named;
                let content = self.content(*inode);
                content.syncing.insert(*by, (content.pending.len(), named));
            }
            Call::Synced { inode, by, end } => self.synced(*inode, *by, *end, rng),
            Call::Made { inode, path, folder } => {
                // An inode number that is used again belongs to another file.
                self.contents.remove(inode);
                self.folders.remove(inode);
                if *folder {
                    self.folders.insert(*inode, path.clone());
                }
                self.name(Name::Made(path.clone(), *inode));
            }
            Call::Unlinked { path } => self.name(Name::Unlinked(path.clone())),
            Call::Answered { .. } => {}
        }
    }

    fn name(&mut self, name: Name) {
        self.named += 1;
        self.pending.push((self.named, name));
    }

    fn synced(&mut self, inode: u64, by: u32, end: End, rng: &mut Rng) {
        let content = self.content(inode);
        let (covered, named) = content.syncing.remove(&by).unwrap();
        if end == End::Reported {
            return;
        }
        let every = end == End::OnDisk || rng.below(2) == 0;
        for change in content.pending.drain(..covered) {
            // A failed sync may have written some of the data. The rest will never be written.
            if end == End::OnDisk || (!every && rng.below(2) == 0) {
                put(&mut content.on_disk, &change, 0, || true);
            }
        }
        content.syncing.values_mut().for_each(|(count, _)| *count = count.saturating_sub(covered));
        if end != End::OnDisk {
            return;
        }
        let folder = self.folders.get(&inode);
        let mut later = Vec::new();
        for (number, name) in std::mem::take(&mut self.pending) {
            let of_folder = folder.is_some_and(|at| name.path().parent() == Some(at));
            if number <= named && (self.names == Names::WithAnySync || of_folder) {
                enter(&mut self.tree, &name);
            } else {
                later.push((number, name));
            }
        }
        self.pending = later;
    }

    /// Cuts the power now: writes the content of the disk into another, empty folder.
    pub(crate) fn cut(&self, into: &Path, rng: &mut Rng) {
        // Whether all, none, some or parts of the pending writes reached the disk.
        let how = rng.below(4);
        let kept = |rng: &mut Rng| match how {
            0 => false,
            1 => true,
            _ => rng.below(2) == 0,
        };
        let mut tree = self.tree.clone();
        for (_, name) in &self.pending {
            if kept(rng) {
                enter(&mut tree, name);
            } else if self.names == Names::WithAnySync {
                break;
            }
        }
        // A file may have grown before its data is written: it then contains zeros, or older data of the disk.
        let filler = [0, 0xA5][rng.below(2) as usize];
        let mut contents = HashMap::new();
        for (inode, content) in self.contents.iter().collect::<BTreeMap<_, _>>() {
            let mut bytes = content.on_disk.clone();
            for change in &content.pending {
                if how == 3 {
                    put(&mut bytes, change, filler, || rng.below(2) == 0);
                } else if kept(rng) {
                    put(&mut bytes, change, filler, || true);
                }
            }
            contents.insert(*inode, bytes);
        }
        for (path, inode) in &tree {
            let beneath = path.strip_prefix(&self.root).unwrap();
            if beneath.as_os_str().is_empty() || !reachable(&tree, path, &self.root) {
                continue;
            }
            let to = into.join(beneath);
            // The shared memory of readers (-shm) is not durable.
            if self.folders.contains_key(inode) {
                std::fs::create_dir_all(to).unwrap();
            } else if !beneath.to_string_lossy().ends_with("-shm") {
                std::fs::write(to, contents.get(inode).map_or(&[][..], |bytes| &bytes[..])).unwrap();
            }
        }
    }
}

/// Whether every parent folder exists.
fn reachable(tree: &Tree, path: &Path, root: &Path) -> bool {
    path.ancestors().take_while(|above| above.starts_with(root)).all(|above| tree.contains_key(above))
}

fn enter(tree: &mut Tree, name: &Name) {
    match name {
        Name::Made(path, inode) => drop(tree.insert(path.clone(), *inode)),
        Name::Unlinked(path) => drop(tree.remove(path)),
    }
}

/// Applies a change; of a write, only the sectors that are kept.
fn put(bytes: &mut Vec<u8>, change: &Change<'_>, filler: u8, mut kept: impl FnMut() -> bool) {
    match change {
        Change::Cut(length) => {
            if kept() {
                bytes.resize(*length as usize, 0);
            }
        }
        Change::Write(offset, data) => {
            let (mut at, end) = (*offset as usize, *offset as usize + data.len());
            while at < end {
                let next = end.min((at / SECTOR + 1) * SECTOR);
                if kept() {
                    if bytes.len() < next {
                        bytes.resize(at.max(bytes.len()), filler);
                        bytes.resize(next.max(bytes.len()), 0);
                    }
                    bytes[at..next].copy_from_slice(&data[at - *offset as usize..next - *offset as usize]);
                }
                at = next;
            }
        }
    }
}
